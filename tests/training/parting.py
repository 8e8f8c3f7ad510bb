"""One of two workers that end a training at different times; it says when, in one line of JSON.

python -m tests.training.parting, with TF_CONFIG set: after one training whose chief is two seconds late to
its end, and one that the other worker leaves as soon as it has all of its own.
"""

import json
import os
import time
from unittest import mock

from tests.training.toys import TwoStages, fitting, sgd
from tfgen.training import make_strategy, strategies, train


def trained(strategy, part):
    """When a training of a few steps ended whose workers part so."""
    with strategy.scope():
        model = TwoStages()
    with mock.patch.object(strategies.Workers, "part", part):
        train(
            model,
            fitting(model),
            steps=6,
            batch_size=8,
            optimizer=sgd(),
            strategy=strategy,
            jit="off",
            checkpoint_every=6,
            log=lambda line: None,
        )
    return time.monotonic()


def main():
    """Both trainings."""
    strategy = make_strategy("multi_worker")
    part = strategies.Workers.part
    chief = strategies.is_chief(strategy)
    said = {}

    def late(workers):
        if chief:
            time.sleep(2.0)
        said["came"] = time.monotonic()
        part(workers)

    def leave(workers):
        if not chief:
            print(json.dumps(said), flush=True)
            os._exit(0)
        part(workers)

    said["went"] = trained(strategy, late)
    trained(strategy, leave)
    print(json.dumps(said))


if __name__ == "__main__":
    main()
