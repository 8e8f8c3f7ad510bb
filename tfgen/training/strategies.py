"""Distribution strategies by name.

TPUs are written after TensorFlow's documentation and have not been run.
"""

import contextlib
import json
import os

import tensorflow as tf

STRATEGIES = ("one_device", "mirrored", "multi_worker", "tpu")

# How TensorFlow says that another worker does not answer any more.
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)


def make_strategy(name="one_device", replicas=None, tpu=None):
    """The `tf.distribute` strategy of that name; call it before any other TensorFlow operation.

    Args:
      name: "one_device" (None is returned: no strategy at all), "mirrored", "multi_worker" or "tpu".
      replicas: For "mirrored": how many GPUs, or logical CPUs where there is no GPU; None takes all GPUs.
      tpu: Name or address of the TPU; None asks the environment.

    Raises:
      ValueError: If the name is unknown or what the strategy needs is not there.
    """
    if name not in STRATEGIES:
        raise ValueError(f"strategy must be one of {', '.join(STRATEGIES)}, got {name!r}.")
    if replicas is not None and (name != "mirrored" or replicas < 1):
        raise ValueError(f"replicas={replicas} needs strategy=mirrored and a positive number.")
    if name == "mirrored":
        return tf.distribute.MirroredStrategy(_devices(replicas))
    if name == "multi_worker":
        _check_cluster(os.environ.get("TF_CONFIG"))
        return tf.distribute.MultiWorkerMirroredStrategy()
    if name == "tpu":
        try:
            resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu or "")
        except ValueError as error:
            raise ValueError(f"tpu={tpu!r} was not found; pass its name or address with --tpu.") from error
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    return None


def is_chief(strategy):
    """Whether this process writes the run directory."""
    resolver = getattr(strategy, "cluster_resolver", None)
    if resolver is None or not resolver.cluster_spec().as_dict():
        return True
    # A TPU's coordinator is not among the workers, so its task has no type or another one.
    kind, index = resolver.task_type, resolver.task_id
    has_chief = "chief" in resolver.cluster_spec().as_dict()
    return kind not in ("chief", "worker") or kind == "chief" or (not has_chief and index == 0)


class Workers:
    """Processes of one training, which must decide alike.

    Nothing that decides how many steps a call takes or whether to stop may come from one process's clock,
    files or signals alone: these methods let all of them know. Every worker must call each in the same order.
    With one process they return what they are given.

    Args:
      strategy: What `make_strategy` returned.

    Attributes:
      chief: Whether this process writes the run directory.
    """

    def __init__(self, strategy):
        self.strategy = strategy
        self.chief = is_chief(strategy)
        self.several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        self._sum = tf.function(self._reduced, autograph=False, reduce_retracing=True)

    def _reduced(self, values):
        def of_replica(values):
            # An argument has no device yet, and the sum goes where its terms are.
            values = tf.identity(values)
            return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)

        per_replica = self.strategy.run(of_replica, args=(values,))
        return self.strategy.experimental_local_results(per_replica)[0]

    def _over_workers(self, values):
        """Sums over workers, each of which contributes once; float64 keeps steps and losses whole."""
        local = len(self.strategy.extended.worker_devices)
        return self._sum(tf.constant(values, tf.float64)).numpy() / local

    def as_chief(self, numbers):
        """The chief's numbers, a list of floats."""
        if not self.several:
            return numbers
        mine = numbers if self.chief else [0.0] * len(numbers)
        return [float(number) for number in self._over_workers([float(number) for number in mine])]

    def agree(self, asked, number):
        """(whether any worker asks, the chief's whole number)."""
        if not self.several:
            return asked, number
        total = self._over_workers([float(asked), float(number if self.chief else 0)])
        return bool(total[0] > 0), int(round(total[1]))

    def share(self, rows):
        """Slice of a batch of so many rows that the replicas of this process take."""
        if not self.several:
            return slice(0, rows)
        context = tf.distribute.get_replica_context
        numbers = self.strategy.experimental_local_results(
            self.strategy.run(lambda: tf.convert_to_tensor(context().replica_id_in_sync_group))
        )
        size, own = rows // self.strategy.num_replicas_in_sync, [int(number) for number in numbers]
        return slice(min(own) * size, (max(own) + 1) * size)

    def differ(self, number):
        """Whether the workers hold different numbers."""
        if not self.several:
            return False
        (chosen,) = self.as_chief([number])
        return self.agree(chosen != number, 0)[0]

    def part(self):
        """Waits until no worker needs another any more; the last thing of a training.

        One that has its share of a sum and exits takes with it what it has not sent yet. Who is lost in here
        has come to the end, so the others have all they need.
        """
        if self.several:
            with contextlib.suppress(*LOST):
                self._over_workers([0.0])


def _devices(replicas):
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        if replicas is not None and replicas > len(gpus):
            raise ValueError(f"replicas={replicas}, but there are {len(gpus)} GPUs.")
        return [f"GPU:{i}" for i in range(replicas or len(gpus))]
    replicas = replicas or 1
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration() for _ in range(replicas)]
        )
    except RuntimeError:
        # TensorFlow has started: its devices are what they are.
        if len(tf.config.list_logical_devices("CPU")) < replicas:
            raise ValueError(
                f"replicas={replicas}: TensorFlow already runs with fewer logical CPUs; "
                "make the strategy before any other operation."
            ) from None
    return [f"CPU:{i}" for i in range(replicas)]


def _check_cluster(text):
    remedy = 'set it as {"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
    try:
        config = json.loads(text or "null")
        complete = config and config["cluster"] and config["task"]["type"] and config["task"]["index"] >= 0
    except (ValueError, KeyError, TypeError):
        complete = False
    if not complete:
        raise ValueError(
            f"strategy=multi_worker needs the environment variable TF_CONFIG, got {text!r}; {remedy}."
        )
