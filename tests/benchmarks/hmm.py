"""Hidden Markov model: forward recursion and Baum-Welch against hmmlearn's and TFP's.

python -m tests.benchmarks.hmm

256 sequences of 200 steps, 32 states, 100 symbols: log p(x) of all, without and with XLA, and an iteration of
Baum-Welch, of hmmlearn by its two implementations ("log", which is its default, and "scaling"). The same
iteration for vectors of 16 numbers with diagonal Gaussians. Each framework has a process of its own; TFP is
timed with XLA and without.
"""

import warnings

import numpy as np

from tests.benchmarks import measure

STATES, SYMBOLS, SIZE, SEQUENCES, STEPS, ROUNDS = 32, 100, 16, 256, 200, 7


def parameters():
    """Random start, transitions, symbols, means and deviations, the same for everybody."""
    draw = np.random.default_rng(0)
    rows = [
        draw.dirichlet(np.ones(n), size) for n, size in ((STATES, 1), (STATES, STATES), (SYMBOLS, STATES))
    ]
    return (
        rows[0][0],
        rows[1],
        rows[2],
        draw.normal(size=(STATES, SIZE)),
        draw.uniform(0.5, 2, (STATES, SIZE)),
    )


def sequences():
    """Symbols and vectors `[sequences, steps, ...]`."""
    draw = np.random.default_rng(1)
    return draw.integers(0, SYMBOLS, (SEQUENCES, STEPS)), draw.normal(size=(SEQUENCES, STEPS, SIZE))


def models():
    """tfgen's models of symbols and of vectors, and their x as tensors."""
    import tensorflow as tf

    from tfgen.classical import HiddenMarkovModel

    start, transitions, symbols, means, scales = parameters()
    of_symbols = HiddenMarkovModel(num_states=STATES, num_values=SYMBOLS)
    of_symbols.emission.logits.assign(np.log(symbols))
    of_vectors = HiddenMarkovModel((None, SIZE), STATES)
    of_vectors.emission.means.assign(means[:, None])
    of_vectors.emission.scales.assign(scales[:, None])
    for model in (of_symbols, of_vectors):
        model.start_logits.assign(np.log(start))
        model.transition_logits.assign(np.log(transitions))
    return of_symbols, of_vectors, *(tf.constant(x, tf.float32) for x in sequences())


def iteration(model, x):
    """Function that takes one pass of Baum-Welch in one batch, as the training does."""
    import tensorflow as tf

    from tfgen.update import Step

    engine = Step(model.updates(), {}, jit=model.jit_updates)
    engine.prepare({"x": x})
    step = tf.function(
        lambda: engine(lambda *_: {"x": x}, tf.constant([0, 1]), tf.constant(0, tf.int64)), autograph=False
    )
    finish = tf.function(engine.finish_epoch, autograph=False)
    kept = model.get_weights()

    def run():
        model.set_weights(kept)
        step()
        finish()["em/loss"].numpy()

    return run


def tfgen_side():
    """The density as a graph, without and with XLA, and the passes of Baum-Welch."""
    import tensorflow as tf

    of_symbols, of_vectors, symbols, vectors = models()
    variants = {}
    for name, jit in (("tfgen forward", None), ("tfgen forward XLA", True)):
        forward = tf.function(lambda: of_symbols.score(symbols), jit_compile=jit, autograph=False)
        variants[name] = lambda forward=forward: forward().numpy()
    return variants | {
        "tfgen iteration": iteration(of_symbols, symbols),
        "tfgen iteration, vectors": iteration(of_vectors, vectors),
    }


def hmmlearn_side():
    """Scores and single iterations of hmmlearn, from the same parameters each time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from hmmlearn import hmm
    start, transitions, symbols, means, scales = parameters()
    x, vectors = sequences()
    x, vectors, lengths = x.reshape(-1, 1), vectors.reshape(-1, SIZE), [STEPS] * SEQUENCES

    def made(cls, implementation, **weights):
        model = cls(STATES, implementation=implementation, init_params="", n_iter=1, tol=-np.inf)
        model.n_features = SYMBOLS if cls is hmm.CategoricalHMM else SIZE
        for name, value in ({"startprob_": start, "transmat_": transitions} | weights).items():
            setattr(model, name, value.copy())
        return model

    variants = {}
    for kind in ("scaling", "log"):
        weights = {"emissionprob_": symbols}
        scored = made(hmm.CategoricalHMM, kind, **weights)
        variants[f"hmmlearn forward {kind}"] = lambda scored=scored: scored.score(x, lengths)
        variants[f"hmmlearn iteration {kind}"] = lambda kind=kind, weights=weights: made(
            hmm.CategoricalHMM, kind, **weights
        ).fit(x, lengths)
    weights = {"means_": means, "covars_": np.square(scales)}
    variants["hmmlearn iteration scaling, vectors"] = lambda: made(hmm.GaussianHMM, "scaling", **weights).fit(
        vectors, lengths
    )
    return variants


def tfp_side():
    """tfd.HiddenMarkovModel's density."""
    import tensorflow as tf
    import tensorflow_probability as tfp

    tfd = tfp.distributions
    start, transitions, symbols, _, _ = (tf.constant(p, tf.float32) for p in parameters())
    x, variants = tf.constant(sequences()[0], tf.int32), {}
    model = tfd.HiddenMarkovModel(
        tfd.Categorical(probs=start),
        tfd.Categorical(probs=transitions),
        tfd.Categorical(probs=symbols),
        STEPS,
    )
    for name, jit in (("TFP forward", None), ("TFP forward XLA", True)):
        forward = tf.function(lambda: model.log_prob(x), jit_compile=jit, autograph=False)
        variants[name] = lambda forward=forward: forward().numpy()
    return variants


def main():
    """Measures and prints the figures."""
    name = "tests.benchmarks.hmm"
    with (
        measure.Worker(name, "tfgen") as ours,
        measure.Worker(name, "hmmlearn") as hmmlearn,
        measure.Worker(name, "tfp") as tfp,
    ):
        result = measure.alternate(ours.variants() | hmmlearn.variants() | tfp.variants(), ROUNDS)
    print(result.table())

    def faster(names):
        return min(names, key=result.median)

    ours = faster(["tfgen forward", "tfgen forward XLA"])
    for library, target in (("hmmlearn", 8.0), ("TFP", 60.0)):
        other = faster([n for n in result.seconds if n.startswith(f"{library} forward")])
        measure.report(f"{ours} over {other}", result.ratio(other, ours), target, at_most=False)
    other = faster(["hmmlearn iteration scaling", "hmmlearn iteration log"])
    measure.report(f"Baum-Welch over {other}", result.ratio(other, "tfgen iteration"), 5.0, at_most=False)
    other = "hmmlearn iteration scaling, vectors"
    ratio = result.ratio(other, "tfgen iteration, vectors")
    measure.report(f"Baum-Welch over {other}", ratio, 5.0, at_most=False)


if __name__ == "__main__":
    measure.run({"tfgen": tfgen_side, "hmmlearn": hmmlearn_side, "tfp": tfp_side}, main)
