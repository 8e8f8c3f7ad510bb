"""DialogueModel on real dialogues: does the history help? Against a language model of the same size.

python -m tests.benchmarks.dialogue --data_dir=... [--seeds=3] [--steps=4000] [--keep=DIRECTORY]

Both models have the same number of weights to within 1 %: the language model has no encoder and no attention
but more units. Both are stopped early by the same validation replies. Printed are test perplexities of a word
(mark, or end) for each seed, of a unigram model, and the difference in nats of a token with its
95 % interval: replies are paired, and the mean over the seeds is compared. With --keep, what was trained is
not trained again.
"""

import argparse
import pathlib
import tempfile

import numpy as np

LEARNING_RATE, BATCH, EVERY, PATIENCE = 2e-3, 32, 200, 3
SIZES = {"units": 128, "embedding": 64, "dropout": 0.3}
Z95 = 1.959964


def build(condition, vocabulary, units=None):
    """A model of the comparison; the language model's units are those that give it as many weights."""
    from tfgen.autoregressive import DialogueModel

    sizes = SIZES | ({} if units is None else {"units": units})
    return DialogueModel(condition=condition, vocabulary=vocabulary, **sizes)


def matching_units(vocabulary):
    """Units of the language model whose number of weights is nearest to the other's."""
    wanted = build("text", vocabulary).count_params()
    low, high = SIZES["units"], 2 * SIZES["units"]
    while high - low > 1:
        middle = (low + high) // 2
        smaller = build("none", vocabulary, middle).count_params() < wanted
        low, high = (middle, high) if smaller else (low, middle)
    return min((low, high), key=lambda n: abs(build("none", vocabulary, n).count_params() - wanted))


def test_nats(model, data, seed, steps, directory):
    """Nats of each test reply after training with that seed."""
    import keras
    import tensorflow as tf

    from tfgen.training import train
    from tfgen.training.checkpoints import Checkpoints, weights_of

    train(
        model,
        data,
        steps,
        directory,
        BATCH,
        keras.optimizers.Adam(LEARNING_RATE),
        seed,
        checkpoint_every=EVERY,
        early_stopping=PATIENCE,
    )
    Checkpoints(weights_of(model), pathlib.Path(directory, "checkpoints/best"), 1).restore()
    fields, score = model.fields(data.test), tf.function(model.score, autograph=False)
    parts = []
    for start in range(0, len(data.test), 240):
        batch = {name: tf.constant(field[start : start + 240]) for name, field in fields.items()}
        parts.append(-score(**batch | {"x": tf.cast(batch["x"], tf.float32)}).numpy())
    return np.concatenate(parts)


def unigram(data):
    """Nats of each test reply under the training replies' word frequencies, each word counted once more."""

    def counted(split):
        return np.arange(split.x.shape[1]) < split.extra["lengths"][:, None]

    counts = np.bincount(data.train.x[counted(data.train)], minlength=data.num_values) + 1.0
    nats = -np.log(counts / counts.sum())
    return np.sum(np.where(counted(data.test), nats[data.test.x], 0.0), axis=1)


def difference(one, two, steps):
    """Mean of one - two in nats of a token, and half of its 95 % interval: paired, by replies."""
    gap = one - two
    ratio = gap.sum() / steps.sum()
    return ratio, Z95 * (gap - ratio * steps).std(ddof=1) / (steps.mean() * np.sqrt(len(gap)))


def main():
    """Trains, or reads what was kept, and prints the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data_dir", default=None)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--keep", default=None)
    options = parser.parse_args()
    if options.data_dir is None:
        print("not run: real dialogues are read from DATA_DIR/text/dailydialog, give --data_dir")
        return
    import keras

    from tfgen import data as datasets

    data = datasets.load("dailydialog", data_dir=options.data_dir)
    units = {"text": SIZES["units"], "none": matching_units(data.vocabulary)}
    steps, nats = data.test.extra["lengths"], {"text": [], "none": []}
    with tempfile.TemporaryDirectory() as temporary:
        kept = pathlib.Path(options.keep or temporary)
        for seed in range(options.seeds):
            for condition, found in nats.items():
                path = kept / f"{condition}-{seed}.npy"
                if not path.exists():
                    keras.utils.set_random_seed(seed)
                    model = build(condition, data.vocabulary, units[condition])
                    np.save(path, test_nats(model, data, seed, options.steps, kept / f"{condition}-{seed}"))
                found.append(np.load(path))
                size = build(condition, data.vocabulary, units[condition]).count_params()
                perplexity = np.exp(found[-1].sum() / steps.sum())
                print(f"seed {seed}, condition {condition}, {size} weights: {perplexity:.2f}", flush=True)
    print(f"unigram: perplexity {np.exp(unigram(data).sum() / steps.sum()):.2f}")
    for condition, found in nats.items():
        each = [np.exp(n.sum() / steps.sum()) for n in found]
        print(f"condition {condition}: perplexity {np.mean(each):.2f}, {min(each):.2f} to {max(each):.2f}")
    mean, half = difference(np.mean(nats["text"], 0), np.mean(nats["none"], 0), steps)
    verdict = "a tie" if abs(mean) <= half else f"the history {'helps' if mean < 0 else 'harms'}"
    interval = f"95 % [{mean - half:+.4f}, {mean + half:+.4f}]"
    print(f"with less without history: {mean:+.4f} nats a token, {interval}: {verdict}")


if __name__ == "__main__":
    main()
