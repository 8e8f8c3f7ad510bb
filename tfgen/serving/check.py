"""Does an export answer? It is loaded as a stranger would, without the model's class, and asked."""

import numpy as np
import tensorflow as tf

from tfgen.serving.requests import example


def check(version_directory, texts=None):
    """Loads an export without the model's class and runs every signature, on zeros, ones and a text.

    Each is asked for no rows, too.

    Args:
      version_directory: `<directory>/<version>`, as `export` returns it.
      texts: A string that each signature answers, by its name; "the" for others.

    Returns:
      Dict of outputs (arrays by name) by signature name.

    Raises:
      ValueError: If nothing can be loaded, or an answer is not finite or has not one row for each row
        of the request.
    """
    try:
        loaded = tf.saved_model.load(str(version_directory))
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"no export can be loaded from {version_directory}: {reason}") from error
    answers = {}
    for name, signature in loaded.signatures.items():
        inputs = example(signature.structured_input_signature[1], text=(texts or {}).get(name, "the"))
        answers[name] = _ask(name, signature, inputs)
        _ask(name, signature, {key: value[:0] for key, value in inputs.items()})
    return answers


def _ask(name, signature, inputs):
    """The answers of a signature, arrays by name; raises ValueError where they are none."""
    num = len(next(iter(inputs.values())))
    what = "zeros, ones and a text" if num else "no rows"
    specs = signature.structured_input_signature[1]
    tensors = {key: tf.constant(value, specs[key].dtype, value.shape) for key, value in inputs.items()}
    try:
        answers = {key: value.numpy() for key, value in signature(**tensors).items()}
    except tf.errors.OpError as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"signature {name!r} does not answer {what}: {reason}") from error
    for key, value in answers.items():
        if value.shape[:1] != (num,):
            raise ValueError(
                f"signature {name!r} answers {num} rows with {key!r} of shape {value.shape}: "
                "the first dimension must be the batch."
            )
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ValueError(
                f"signature {name!r} answers zeros and ones with {key!r} that is not finite; "
                "train again, or mend the model."
            )
    return answers
