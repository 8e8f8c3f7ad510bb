"""CharRNN (Mikolov 2010; Graves 2013): a language model of characters or words.

On the embedded documentation of Python: 1.75 bits a character (exact, test split, seed 0), a minute and a
half on two cores, all told.

python -m apps.char_rnn
python -m apps.char_rnn sample --run_dir=runs/char_rnn --prompt="The " --length=300 --temperature=0.7
python -m apps.char_rnn --dataset=file:book.txt --unit=word --window=30
python -m apps.char_rnn --preset=shakespeare --data_dir=...
"""

from tfgen.cli import App

app = App(
    "tfgen.autoregressive.CharRNN",
    dataset="python_docs",
    steps=1000,
    batch_size=32,
    learning_rate=3e-3,
    length=300,
    presets={"shakespeare": {"dataset": "tiny_shakespeare", "steps": 4000, "dropout": 0.2}},
)

if __name__ == "__main__":
    app.run()
