"""The graphs that an export serves: traced, guarded, and refused where no server could run them."""

import re

import tensorflow as tf

from tfgen.serving.requests import example

# What TensorFlow Serving's REST interface can say, and a client in any language.
DTYPES = (tf.float32, tf.int32, tf.int64, tf.uint8, tf.bool, tf.string)

_PYTHON = re.compile(r"(Eager)?PyFunc(Stateless)?")
_RANDOM = re.compile(
    r"(Stateful(Uniform|StandardNormal|TruncatedNormal|RandomBinomial)\w*"
    r"|Random(?!(IndexShuffle|GammaGrad|Dataset))\w*|(Parameterized)?TruncatedNormal|Multinomial"
    r"|NonDeterministicInts|Rng(Read|Skip|ReadAndSkip)(V2)?|SampleDistortedBoundingBox(V2)?|\w+CandidateSampler)"
)
_WRITES = re.compile(
    r"Assign(Add|Sub)?VariableOp|Resource(Scatter|Apply|Sparse|StridedSliceAssign)\w*"
    r"|LookupTable(Insert|Remove)(V2)?"
)


def trace(model, xla=False):
    """Traces every signature of a model.

    Each graph checks what it is given before it works on it: the shape of every input, and that all
    inputs hold the same number of rows. No rows have answers of no rows, whatever the model's operations
    do with them.

    Args:
      model: A `GenerativeModel`.
      xla: Add `<name>_xla`, compiled by XLA, for every signature that takes seeds and no strings.

    Returns:
      Dict of `tf.ConcreteFunction` by signature name; equal signatures share one.

    Raises:
      ValueError: If a server could not run a signature; names the signature and the reason.
    """
    signatures, by_signature, graphs = model.signatures(), {}, {}
    for name, signature in signatures.items():
        _check_specs(name, "input", signature.inputs)
        if id(signature) not in by_signature:
            by_signature[id(signature)] = _trace(name, signature, signature.function)
        graphs[name] = by_signature[id(signature)]
    for name, signature in signatures.items() if xla else ():
        strings = any(spec.dtype == tf.string for spec in signature.inputs.values())
        if "seeds" in signature.inputs and not strings and name != "serving_default":
            compiled = _compiled(signature, _specs(signature))
            graphs[f"{name}_xla"] = _trace(f"{name}_xla", signature, compiled, xla=True)
    return graphs


def _trace(name, signature, function, xla=False):
    specs = _specs(signature)

    def served(**inputs):
        inputs = _guard(inputs, specs)
        none = tf.equal(tf.shape(next(iter(inputs.values())))[0], 0)
        answers = function(**_or_example(none, inputs, specs, signature.text))
        _check_specs(name, "output", answers)
        return {key: value[: tf.where(none, 0, tf.shape(value)[0])] for key, value in answers.items()}

    graph = tf.function(served, autograph=False).get_concrete_function(**specs)
    _check_operations(name, graph.graph.as_graph_def(), xla)
    return graph


def _specs(signature):
    return {k: tf.TensorSpec(s.shape, s.dtype, name=k) for k, s in signature.inputs.items()}


def _guard(inputs, specs):
    """The inputs, if their shapes fit: a server feeds whatever a client sent."""
    inputs = {k: tf.ensure_shape(v, specs[k].shape) for k, v in inputs.items()}
    first, *others = inputs
    same = [tf.equal(tf.shape(inputs[first])[0], tf.shape(inputs[k])[0]) for k in others]
    message = f"inputs {', '.join(inputs)} must hold the same number of rows"
    with tf.control_dependencies([tf.debugging.Assert(s, [message]) for s in same]):
        return {k: tf.identity(v) for k, v in inputs.items()}


def _or_example(none, inputs, specs, text):
    """The inputs, or one row of an example where they have none: convolutions, for one, fail on no rows."""
    stand_in = {k: tf.constant(v, specs[k].dtype) for k, v in example(specs, 1, text).items()}
    chosen = tf.cond(none, lambda: stand_in, lambda: {k: tf.identity(v) for k, v in inputs.items()})
    return {k: tf.ensure_shape(v, specs[k].shape) for k, v in chosen.items()}


def _compiled(signature, specs):
    """The signature's function under XLA, which drops assertions; they run before it."""
    compiled = tf.function(signature.function, autograph=False, jit_compile=True)
    plain = tf.compat.v1.wrap_function(
        lambda *inputs: signature.function(**dict(zip(specs, inputs, strict=True))),
        list(specs.values()),
    )
    assertions = [op for op in plain.graph.get_operations() if op.type == "Assert"]
    valid = plain.prune(plain.inputs[: len(specs)], assertions)

    def function(**inputs):
        valid(*(inputs[key] for key in specs))
        return compiled(**inputs)

    return function


def _check_specs(name, kind, specs):
    if not isinstance(specs, dict) or not specs:
        raise ValueError(f"signature {name!r} must name its {kind}s in a dict, got {specs!r}.")
    for key, spec in specs.items():
        if spec.dtype not in DTYPES:
            allowed = ", ".join(d.name for d in DTYPES)
            raise ValueError(
                f"signature {name!r}: {kind} {key!r} is {spec.dtype.name}; cast it to one of {allowed}."
            )
        if not spec.shape.rank or spec.shape[0] is not None:
            raise ValueError(
                f"signature {name!r}: {kind} {key!r} must have a batch of any size as its first "
                f"dimension, got shape {spec.shape}; tf.ensure_shape adds what is unseen."
            )


def _check_operations(name, graph, xla):
    functions = graph.library.function
    nodes = [*graph.node, *(node for function in functions for node in function.node_def)]
    for pattern, what, remedy in (
        (_PYTHON, "calls Python", "use TensorFlow operations only"),
        (_RANDOM, "draws random numbers that no seed determines", "draw with tfgen.random"),
        (
            _WRITES,
            "writes to a variable",
            "requests run at the same time, so keep state in the loop",
        ),
    ):
        found = sorted({node.op for node in nodes if pattern.fullmatch(node.op)})
        if found:
            raise ValueError(f"signature {name!r} {what} ({', '.join(found)}): {remedy}.")
    if not xla and any(part.attr["_XlaMustCompile"].b for part in (*nodes, *functions)):
        raise ValueError(
            f"signature {name!r} needs XLA, which a server has only when started with it: "
            "call the function without jit_compile, or its python_function."
        )
