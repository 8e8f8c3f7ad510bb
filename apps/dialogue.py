"""DialogueModel (Vinyals & Le 2015): replies to a history of turns, and a chat.

On the embedded table of replies: 0.004 bits a word (exact, test split, seed 0), that is, it is learned; 40
seconds on two cores, all told.

python -m apps.dialogue
python -m apps.dialogue chat --run_dir=runs/dialogue
python -m apps.dialogue sample --run_dir=runs/dialogue --num=1 --prompt="do you sleep ?"
python -m apps.dialogue --dataset=file:dialogues.jsonl --run_dir=runs/mine
python -m apps.dialogue --preset=dailydialog --data_dir=... --run_dir=runs/dailydialog
"""

from tfgen.cli import App

app = App(
    "tfgen.autoregressive.DialogueModel",
    dataset="replies",
    steps=450,
    batch_size=64,
    learning_rate=3e-3,
    presets={
        "dailydialog": {
            "dataset": "dailydialog",
            "units": 256,
            "embedding": 128,
            "dropout": 0.4,
            "steps": 2000,
            "learning_rate": 1e-3,
            "checkpoint_every": 200,
            "early_stopping": 2,
        },
    },
    commands={
        "chat": "answer lines from the terminal, forgetting the oldest turns; --temperature draws replies"
    },
)

if __name__ == "__main__":
    app.run()
