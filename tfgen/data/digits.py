"""The embedded default: scikit-learn's handwritten digits."""

import numpy as np

from tfgen.data import registry
from tfgen.data.dataset import Data, Split
from tfgen.data.splits import hold_out, stratified_order


@registry.embedded("digits", "1,797 handwritten 8x8 digits in 17 grey levels, 10 classes")
def digits(request: registry.Request) -> Data:
    """Real 8x8 digits in levels 0 to 16: 1,293 train, 144 validation and 360 test by default.

    The test part is fixed and holds each class in its proportion; validation is by default a
    tenth of the rest.

    References:
        Alpaydin and Kaynak, 1998, Optical recognition of handwritten digits, UCI repository (the
        part that scikit-learn carries).
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    every = Split(bunch.images.astype(np.uint8)[..., np.newaxis], bunch.target)
    order = stratified_order(len(every), bunch.target)
    test, rest = every.take(order[:360]), every.take(order[360:])
    train, validation = hold_out(rest, request.validation, default=round(len(rest) / 10))
    return Data(
        name=request.name,
        kind="image",
        event_shape=(8, 8, 1),
        num_values=17,
        levels=17,
        num_classes=10,
        class_names=tuple("0123456789"),
        train=train,
        validation=validation,
        test=test,
    )
