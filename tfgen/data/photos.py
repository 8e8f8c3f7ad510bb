"""Colour without a network: patches of the two photographs that scikit-learn carries."""

import numpy as np

from tfgen.data import registry
from tfgen.data.dataset import Data, Split
from tfgen.data.splits import hold_out, stratified_order

_BLOCK = (61, 64)  # 7 x 10 blocks make a photograph of 427 x 640 exactly
_SIZE, _STRIDE = 16, 8


@registry.embedded("photos", "5,880 colour patches of 16x16 from two photographs, 2 classes")
def photos(request: registry.Request) -> Data:
    """16x16 colour patches of a temple and of a flower, 256 levels, labelled by photograph.

    A photograph is cut into 7 x 10 blocks of 61 x 64 pixels, and each block into 42 patches at
    steps of 8 pixels. Patches overlap inside a block and never across blocks, and a block is
    wholly train, validation or test: no pixel is in two of them. By default 98 blocks train, 14
    validate and 28 test (4,116, 588 and 1,176 patches).
    """
    from sklearn.datasets import load_sample_images

    pictures = load_sample_images().images
    blocks = np.concatenate([_blocks(picture) for picture in pictures])  # [140, 61, 64, 3]
    label = np.repeat(np.arange(2), len(blocks) // 2)
    order = stratified_order(len(blocks), label)
    test, rest = order[:28], order[28:]
    per_block = _patches(blocks[0]).shape[0]
    train, validation = hold_out(
        _cut(blocks[rest], label[rest]),
        request.validation,
        default=14 * per_block,
        groups=np.repeat(np.arange(len(rest)), per_block),
    )
    return Data(
        name=request.name,
        kind="image",
        event_shape=(_SIZE, _SIZE, 3),
        num_values=256,
        levels=256,
        num_classes=2,
        class_names=("temple", "flower"),
        train=train,
        validation=validation,
        test=_cut(blocks[test], label[test]),
    )


def _blocks(picture: np.ndarray) -> np.ndarray:
    height, width = _BLOCK
    rows, columns = picture.shape[0] // height, picture.shape[1] // width
    grid = picture[: rows * height, : columns * width].reshape(rows, height, columns, width, 3)
    return grid.swapaxes(1, 2).reshape(-1, height, width, 3)


def _patches(block: np.ndarray) -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(block, (_SIZE, _SIZE), axis=(0, 1))
    chosen = windows[::_STRIDE, ::_STRIDE]  # [rows, columns, 3, 16, 16]
    return np.moveaxis(chosen, 2, -1).reshape(-1, _SIZE, _SIZE, 3)


def _cut(blocks: np.ndarray, label: np.ndarray) -> Split:
    patches = np.stack([_patches(block) for block in blocks])  # [blocks, 42, 16, 16, 3]
    return Split(patches.reshape(-1, _SIZE, _SIZE, 3), np.repeat(label, patches.shape[1]))
