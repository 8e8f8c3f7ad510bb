"""One of several workers that train a toy; it says what became of it in one line of JSON.

python -m tests.training.worker RUN_DIR STEPS PATIENCE SLOW, with TF_CONFIG set; SLOW is 1 for a worker that
sleeps 5 to 40 ms after every call of the loop, and reads its examples as it needs them.
"""

import json
import random
import sys
import time

import keras
import numpy as np

from tests.training.toys import TwoStages, fitting, sgd, streamed
from tfgen.training import Interrupted, TrainingError, batches, make_strategy, train


class Sleeps(keras.callbacks.Callback):
    """Slows one worker down, and says on stderr when the training has come far enough to be disturbed."""

    def __init__(self, slow):
        super().__init__()
        self.slow = slow
        self.random = random.Random(0)

    def on_train_batch_end(self, batch, logs=None):
        if self.slow:
            time.sleep(self.random.uniform(0.005, 0.04))
        if batch > 100:
            print("under way", file=sys.stderr, flush=True)


def main(directory, steps, patience, slow):
    """Trains, or goes on with, a run of two stages whose validation loss is best at step 600."""
    strategy = make_strategy("multi_worker")
    steps = int(steps)
    losses = [float(abs(step - 600)) for step in range(steps + 1)]
    with strategy.scope():
        model = TwoStages(val_losses=losses)
    # Blocks of two steps, for both.
    batches._WINDOW = 60
    examples = fitting(model)
    result = {}
    try:
        train(
            model,
            streamed(examples) if slow == "1" else examples,
            steps,
            directory,
            batch_size=8,
            optimizer=sgd(),
            strategy=strategy,
            jit="off",
            checkpoint_every=100,
            resume=True,
            early_stopping=int(patience),
            callbacks=[Sleeps(slow == "1")],
            log=lambda line: None,
        )
    except Interrupted as interrupted:
        result["interrupted"] = interrupted.step
    except TrainingError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        sys.exit(2)
    result |= {"stage": model.stage.numpy().tolist(), "step": int(model.step.numpy())}
    result["weights"] = np.concatenate([model.logits.numpy(), [model.scale.numpy()]]).tolist()
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
