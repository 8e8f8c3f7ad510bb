"""Sequences of vectors of any lengths, as data: measurements over time, frames of sounds."""

from tfgen.data.dataset import Data


def sequence_data(name: str, parts, class_names: tuple[str, ...] | None = None, **more) -> Data:
    """Splits of sequences `[N, T, D]` as a data set.

    Args:
        name: What `load` was asked for.
        parts: Train, validation and test, each a `Split` whose `extra` holds "lengths".
        class_names: A name for each class, or None without labels.
        **more: Further fields of `Data`.
    """
    train, validation, test = parts
    return Data(
        name=name,
        kind="sequence",
        event_shape=(None, train.x.shape[2]),
        num_values=None,
        levels=None,
        num_classes=None if class_names is None else len(class_names),
        class_names=class_names,
        train=train,
        validation=validation,
        test=test,
        **more,
    )
