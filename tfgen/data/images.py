"""Images from folders and from TFDS sets."""

import concurrent.futures
import pathlib

import numpy as np

from tfgen.data import registry
from tfgen.data.catalog import Source
from tfgen.data.dataset import Data, DataError, Split, check_memory
from tfgen.data.folder import Listing, divide
from tfgen.data.splits import a_sixth, hold_out, stratified_order

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm")


@registry.folder(*_SUFFIXES)
def folder_of_images(listing: Listing, request: registry.Request) -> Data:
    """Images of one size and mode, grey or RGB, in 256 levels.

    Black-and-white images become grey and palettes RGB; cameras' rotation tags are obeyed. An
    image with transparency, several frames or more than 8 bits is refused.

    Raises:
        DataError: Naming the file, if an image is broken or unlike the others.
    """
    size = request.image_size
    first = _read(listing.paths[0], size)
    remedy = "take fewer files or a smaller --image_size"
    check_memory(request.name, len(listing.paths), first.shape, remedy)
    x = np.empty((len(listing.paths), *first.shape), np.uint8)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        images = pool.map(lambda path: _read(path, size), listing.paths)
        for row, path, image in zip(x, listing.paths, images, strict=True):
            if image.shape != first.shape:
                pool.shutdown(wait=False, cancel_futures=True)
                raise DataError(_unlike(path, image, listing.paths[0], first))
            row[...] = image
    train, validation, test = divide(listing, Split(x, listing.label), request.validation)
    return _image_data(request, train, validation, test, listing.class_names)


@registry.catalog("image")
def catalog_of_images(source: Source, request: registry.Request) -> Data:
    """A TFDS set with an image and perhaps a label, in 256 levels.

    A set of zeros and ones has 2 levels, and one whose colours are all grey has 1 channel.
    Without a test split a fixed sixth of the examples, at most 10,000, tests; validation is the
    set's own, or the last sixth of the training part, at most 10,000 (MNIST's last 10,000).
    """
    splits = {part: _read_split(source, name, request) for part, name in source.splits.items()}
    train, test, published = (splits.get(part) for part in ("train", "test", "validation"))
    if len(train) < 3:
        raise DataError(f"data set {request.name!r} has {len(train)} to train on: take 3 at least")
    if test is None:
        order = stratified_order(len(train), train.label)
        cut = a_sixth(len(train))
        test, train = train.take(order[:cut]), train.take(order[cut:])
    elif source.splits["test"] != "test":
        test = _without(test, train)
    if not len(test):
        raise DataError(f"data set {request.name!r} tests on nothing new: take another test split")
    default = a_sixth(len(train))
    train, validation = hold_out(train, request.validation, default, published=published)
    feature = source.features.get("label")
    names = getattr(feature, "names", None)
    classes = getattr(feature, "num_classes", None)
    if names is not None and tuple(names) == tuple(map(str, range(len(names)))) and classes > 10:
        names = None  # Running numbers, which TFDS makes up for classes without a name.
    parts = _plain([train, validation, test])
    levels = 2 if max(part.x.max(initial=0) for part in parts) <= 1 else 256
    return _image_data(request, *parts, None if names is None else tuple(names), classes, levels)


def _image_data(request, train, validation, test, class_names, num_classes=None, levels=256) -> Data:
    return Data(
        name=request.name,
        kind="image",
        event_shape=train.x.shape[1:],
        num_values=levels,
        levels=levels,
        num_classes=len(class_names) if class_names else num_classes,
        class_names=class_names,
        train=train,
        validation=validation,
        test=test,
    )


def _read(path: pathlib.Path, size: int | None) -> np.ndarray:
    """One file as uint8 `[H, W, C]`."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            # The further frames of a camera's MPO are previews.
            frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
            mode = image.mode
            transparent = "transparency" in image.info or mode in ("RGBA", "LA", "PA")
            image = ImageOps.exif_transpose(image)
            image.load()
    except Exception as error:  # Pillow's decoders raise whatever a broken file makes them.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"image {path} cannot be read ({reason}): repair or remove it") from error
    if frames > 1:
        raise DataError(f"image {path} has {frames} frames: extract them into files")
    if transparent:
        raise DataError(f"image {path} is transparent: save it on a background, without alpha")
    wanted = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB"}.get(mode)
    if wanted is None:
        raise DataError(f"image {path} has mode {mode}: save it as 8-bit grey or RGB")
    return _square(image.convert(wanted), size)


def _square(image, size: int | None) -> np.ndarray:
    """A Pillow image as `[H, W, C]`, its middle square scaled to `size` unless that is None."""
    from PIL import Image

    if size is not None:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        # Cropped first: resizing with a box would let pixels outside it shine in.
        image = image.crop((left, top, left + side, top + side))
        image = image.resize((size, size), Image.Resampling.LANCZOS)
    array = np.asarray(image)
    return array[..., np.newaxis] if array.ndim == 2 else array


def _unlike(path: pathlib.Path, image: np.ndarray, first_path: pathlib.Path, first: np.ndarray):
    def describe(array):
        height, width, channels = array.shape
        return f"{width}x{height} {'grey' if channels == 1 else 'RGB'}"

    same_size = image.shape[:2] == first.shape[:2]
    remedy = "save all as grey or all as RGB" if same_size else "scale all with --image_size=N"
    return f"image {path} is {describe(image)} and {first_path.name} is {describe(first)}: {remedy}"


def _read_split(source: Source, split: str, request: registry.Request) -> Split:
    """One split of a TFDS set."""
    feature, size = source.features["image"], request.image_size
    shape = tuple(feature.shape or ())
    if np.dtype(feature.np_dtype) != np.uint8:
        raise DataError(f"data set {request.name!r} has {feature.np_dtype} images, not uint8 ones")
    if size is None and (len(shape) != 3 or None in shape):
        raise DataError(f"data set {request.name!r} has images of many sizes: set --image_size=N")
    if size is not None:
        shape = (size, size, shape[-1])
    count = source.count(split)
    remedy = f"take a part of it, as in '{source.name}:train[:10000],test[:1000]'"
    check_memory(request.name, count, shape, remedy)
    labelled = isinstance(getattr(source.features.get("label"), "num_classes", None), int)
    x, label = np.empty((count, *shape), np.uint8), np.empty(count, np.int32)
    keys = ("image", "label") if labelled else ("image",)
    row = 0
    for batch in source.batches(split, keys, batched=size is None):
        images = batch["image"] if size is None else [_resized(batch["image"], size)]
        x[row : row + len(images)] = images
        if labelled:
            label[row : row + len(images)] = batch["label"]
        row += len(images)
    # A split whose labels are withheld carries -1.
    return Split(x, label if labelled and not (label < 0).any() else None)


def _resized(array: np.ndarray, size: int) -> np.ndarray:
    from PIL import Image

    return _square(Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array), size)


def _without(test: Split, train: Split) -> Split:
    """The test examples whose x is not among the training examples."""
    seen = {row.tobytes() for row in train.x}
    return test.take(np.array([row.tobytes() not in seen for row in test.x], bool))


def _plain(parts: list[Split]) -> list[Split]:
    """The splits with one channel where all channels are equal everywhere."""
    if not all((part.x == part.x[..., :1]).all() for part in parts):
        return parts
    return [Split(np.ascontiguousarray(p.x[..., :1]), p.label, p.extra) for p in parts]
