"""CharRNN: training steps against PyTorch's `nn.LSTM` of the same layers, and tokens drawn in a second.

python -m tests.benchmarks.char_rnn

Both sides: an embedding of 64, one LSTM layer of 256, logits of 96 characters, batches of 64 strings of 100
steps, Adam. PyTorch's nn.LSTM has one more bias for each gate.
"""

import numpy as np

from tests.benchmarks import measure

BATCH, WINDOW, CHARACTERS, EMBEDDING, UNITS = 64, 100, 96, 64, 256
ROUNDS, STEPS = 7, 3
DRAWN = {1: 1000, 64: 1000}


def strings():
    """A batch of random strings."""
    return np.random.default_rng(0).integers(0, CHARACTERS, (BATCH, WINDOW))


def tensorflow_side():
    """Variants of tfgen."""
    import keras
    import tensorflow as tf

    from tfgen import random
    from tfgen.autoregressive import CharRNN
    from tfgen.update import Step

    def training(cell, jit=None):
        model = CharRNN(num_values=CHARACTERS, cell=cell, units=UNITS, embedding=EMBEDDING)
        x, updates = tf.constant(strings(), tf.float32), model.updates()
        jit = model.jit_updates if jit is None else jit
        step = Step(updates, {updates[0].name: keras.optimizers.Adam(1e-3)}, jit=jit)

        @tf.function(autograph=False)
        def train(number):
            return step(lambda i, seed: {"x": x}, random.as_seed(0), number)

        def steps():
            for number in range(STEPS):
                scalars = train(tf.constant(number, tf.int64))
            return [float(s) for s in scalars.values()]

        return steps

    model = CharRNN(num_values=CHARACTERS, units=UNITS, embedding=EMBEDDING)
    draws = {
        f"tfgen sample {num} of {length}": lambda num=num, length=length: model.sample(
            num, length=length, seed=1
        ).numpy()
        for num, length in DRAWN.items()
    }
    return {
        "tfgen lstm steps": training("lstm"),
        "tfgen lstm steps without XLA": training("lstm", jit=False),
        "tfgen gru steps": training("gru"),
        **draws,
    }


def torch_side():
    """Variants of PyTorch."""
    import torch
    from torch import nn

    class Network(nn.Module):
        def __init__(self, cell):
            super().__init__()
            # Token 0 stands for what comes before the first.
            self.table = nn.Embedding(CHARACTERS + 1, EMBEDDING)
            self.recurrent = cell(EMBEDDING, UNITS, batch_first=True)
            self.head = nn.Linear(UNITS, CHARACTERS)

        def forward(self, x, state=None):
            h, state = self.recurrent(self.table(x), state)
            return self.head(h), state

    x = torch.tensor(strings())

    def training(cell):
        network = Network(cell)
        optimizer = torch.optim.Adam(network.parameters(), 1e-3)

        def steps():
            for _ in range(STEPS):
                optimizer.zero_grad()
                logits, _ = network(nn.functional.pad(x[:, :-1] + 1, (1, 0)))
                loss = nn.functional.cross_entropy(logits.reshape(-1, CHARACTERS), x.reshape(-1))
                loss.backward()
                optimizer.step()
            return loss.item()

        return steps

    network = Network(nn.LSTM)

    @torch.no_grad()
    def draw(num, length):
        before, state, drawn = torch.zeros(num, 1, dtype=torch.long), None, []
        for _ in range(length):
            logits, state = network(before, state)
            drawn.append(torch.multinomial(torch.softmax(logits[:, 0], -1), 1))
            before = drawn[-1] + 1
        return torch.cat(drawn, 1).numpy()

    draws = {
        f"torch sample {num} of {length}": lambda num=num, length=length: draw(num, length)
        for num, length in DRAWN.items()
    }
    return {"torch lstm steps": training(nn.LSTM), "torch gru steps": training(nn.GRU), **draws}


def main():
    """Measures and prints the figures."""
    name = "tests.benchmarks.char_rnn"
    with measure.Worker(name, "tensorflow") as ours, measure.Worker(name, "torch") as theirs:
        result = measure.alternate(ours.variants() | theirs.variants(), ROUNDS)
    print(result.table())
    for cell in ("lstm", "gru"):
        ratio = result.ratio(f"torch {cell} steps", f"tfgen {cell} steps")
        measure.report(f"torch {cell} training step / tfgen's, batch 64", ratio, 1, at_most=False)
    for num, length in DRAWN.items():
        mine, other = (f"{side} sample {num} of {length}" for side in ("tfgen", "torch"))
        print(f"characters a second, {num} strings: {num * length / result.median(mine):.0f}")
        ratio = result.ratio(other, mine)
        measure.report(f"torch's {length} steps of a cell / sample, {num} strings", ratio, 1, at_most=False)


if __name__ == "__main__":
    measure.run({"tensorflow": tensorflow_side, "torch": torch_side}, main)
