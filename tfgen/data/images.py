"""Images from folders and from TFDS sets."""

import collections
import concurrent.futures
import functools
import itertools
import os
import pathlib

import numpy as np

from tfgen.data import registry
from tfgen.data.catalog import Source
from tfgen.data.dataset import Data, DataError, Split
from tfgen.data.folder import Listing, divide, report
from tfgen.data.kept import keeping
from tfgen.data.memory import check_memory, note_of_stream
from tfgen.data.splits import a_sixth, hold_out, stratified_order
from tfgen.data.stream import Stream

_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".webp", ".avif", ".tif", ".tiff", ".pbm",
    ".pgm", ".ppm", ".pnm", ".jp2", ".tga",
)  # fmt: skip
# Images that a thread decodes in one go.
_AT_ONCE = 16


class _Unusable(Exception):
    """Why an image cannot be used, with the remedy after a colon."""


@registry.folder(*_SUFFIXES, streams=True)
def folder_of_images(listing: Listing, request: registry.Request) -> Data:
    """Images of one size, all grey or all RGB, in 256 levels.

    Cameras' rotation tags are obeyed. An alpha channel that is opaque everywhere is dropped, another is laid
    on `request.background`. Palettes of greys, and black and white, become grey, other palettes and CMYK
    become RGB, and 16 bits are scaled to 8; `request.channels` makes all images grey or all RGB. What was
    done is in the notes of the data.

    Where they stay on disk (`request.stream`) all are decoded here once, so that the same is found out, and
    again when they are needed, once where they are kept (`tfgen.data.kept`).

    Raises:
        DataError: With all files that are broken, have several frames or are transparent; or with a file of
            each size and colour, where these differ.
    """
    decode = functools.partial(
        _read, size=request.image_size, background=_colour(request.background), channels=request.channels
    )
    x, used, bad, streamed, shape = None, [], [], None, None
    shapes, done, sizes = collections.Counter(), collections.Counter(), set()
    examples: dict[tuple, pathlib.Path] = {}
    brightest, colourless = 0, True

    def read(path):
        try:
            return decode(path)
        except _Unusable as error:
            return error

    # A hundred at a time: no more than these wait in memory beside the data.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for start in range(0, len(listing.paths), 100):
            some = listing.paths[start : start + 100]
            for number, path, image in zip(itertools.count(start), some, pool.map(read, some), strict=False):
                if isinstance(image, _Unusable):
                    bad.append((path, str(image)))
                    continue
                array, facts, size = image
                if shape is None:
                    shape = array.shape
                    streamed = note_of_stream(request.stream, len(listing.paths) * array.size)
                    if streamed is None:
                        remedy = "take fewer files, a smaller --image_size, or --stream"
                        check_memory(request.name, len(listing.paths), shape, remedy)
                        x = np.empty((len(listing.paths), *shape), np.uint8)
                shapes[array.shape] += 1
                examples.setdefault(array.shape, path)
                done.update(facts)
                sizes.add(size)
                if array.shape == shape:
                    if x is not None:
                        x[len(used)] = array
                    used.append(number)
                    brightest = max(brightest, int(array.max()))
                    colourless = colourless and bool((array[..., :1] == array).all())
    left_out = report(bad, len(listing.paths), listing.root, request, "image")
    if len(shapes) > 1:
        raise DataError(_unlike(shapes, examples))
    listing = listing.take(used)
    if x is None:
        read, told = keeping(_Files(listing, decode, shape), len(used), shape, np.uint8)
        x, streamed = Stream(read, len(used), shape, np.uint8), f"{streamed}, {told}"
    else:
        x = x[: len(used)]
    parts = divide(listing, Split(x, listing.label), request.validation)
    notes = [*listing.notes, *left_out, *(f"{n} {fact}" for fact, n in done.items())]
    if streamed:
        notes.append(streamed)
    if request.image_size is not None:
        notes.append(_resizing(sizes, request.image_size))
    if any("16 bits" in fact for fact in done) and brightest < 64:
        notes.append(f"these use little of their 16 bits, the brightest value is {brightest} of 255")
    if shape[-1] == 3 and colourless:
        notes.append("no image has a colour, --channels=1 makes them grey")
    return _image_data(request, *parts, listing.class_names, notes=tuple(notes))


class _Files:
    """Reader of image files, by several threads.

    Args:
        listing: The files, all of them usable.
        decode: `f(path)` as `_read`.
        shape: The shape that every image has.
    """

    def __init__(self, listing: Listing, decode, shape):
        self.root, self.decode, self.shape = os.fspath(listing.root), decode, shape
        # A tenth of what paths as objects would take.
        self.names = np.array([os.fsencode(path.relative_to(listing.root)) for path in listing.paths])

    def __call__(self, numbers):
        images = np.empty((len(numbers), *self.shape), np.uint8)

        def fill(start):
            for place in range(start, min(start + _AT_ONCE, len(numbers))):
                images[place] = self._image(numbers[place])

        with concurrent.futures.ThreadPoolExecutor() as pool:
            for _ in pool.map(fill, range(0, len(numbers), _AT_ONCE)):
                pass
        return images

    def _image(self, number):
        path = os.path.join(self.root, os.fsdecode(self.names[number]))
        try:
            image = self.decode(path)[0]
        except _Unusable as error:
            raise DataError(f"image {path}, which could be read before, {error}") from error
        if image.shape != self.shape:
            raise DataError(
                f"image {path} has another size or colour than when the data were opened: put it back"
            )
        return image


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


def _image_data(
    request, train, validation, test, class_names, num_classes=None, levels=256, notes=()
) -> Data:
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
        notes=notes,
    )


def _colour(name: str | None) -> tuple[int, int, int] | None:
    from PIL import ImageColor

    if name is None:
        return None
    try:
        return ImageColor.getrgb(name)[:3]
    except ValueError as error:
        raise DataError(
            f"background={name!r} is no colour: take a name as in white or black, or #rrggbb"
        ) from error


def _read(path: os.PathLike | str, size: int | None, background, channels: int | None):
    """One file: uint8 `[H, W, C]`, what was done to it, and its size as it came.

    Raises:
        _Unusable: With the reason and the remedy.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            # The further frames of a camera's MPO are previews.
            frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
            if frames > 1:
                raise _Unusable(f"has {frames} frames: extract them into files")
            # Pillow reads 16 bits of a colour as their upper 8.
            deep = any(";16" in str(tile[3]) for tile in image.tile) and not image.mode.startswith("I")
            image.load()
            turned = image.getexif().get(0x0112, 1) not in (0, 1)
            upright = ImageOps.exif_transpose(image) if turned else image
    except _Unusable:
        raise
    except Exception as error:  # Pillow's decoders raise whatever a broken file makes them.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        reason = "is no image" if isinstance(error, Image.UnidentifiedImageError) else reason
        raise _Unusable(f"cannot be read ({reason}): repair or remove it") from error
    facts = ["turned by the camera's tag"] if turned else []
    if deep:
        facts.append("of 16 bits scaled to 8")
    image = _plain_mode(_without_alpha(_eight_bits(upright, facts), background, facts), facts)
    wanted = {None: image.mode, 1: "L", 3: "RGB"}[channels]
    if image.mode != wanted:
        facts.append("grey made RGB" if wanted == "RGB" else "of colour made grey")
        image = image.convert(wanted)
    return _square(image, size), facts, upright.size


def _eight_bits(image, facts):
    """An image of 16 bits or of floats in [0, 1] as one of 8; others as they are."""
    from PIL import Image

    if not (image.mode.startswith("I") or image.mode == "F"):
        return image
    array = np.asarray(image)
    if image.mode == "F":
        if not (np.isfinite(array).all() and array.min() >= 0.0 and array.max() <= 1.0):
            raise _Unusable("holds floats beyond 0 to 1: scale them, or save it as 8-bit grey or RGB")
        facts.append("of floats in [0, 1] scaled to 8 bits")
        return Image.fromarray(np.rint(array * 255.0).astype(np.uint8))
    if array.min() < 0 or array.max() > 65535:
        raise _Unusable("holds whole numbers beyond 16 bits: save it as 8-bit grey or RGB")
    facts.append("of 16 bits scaled to 8")
    return Image.fromarray(((array.astype(np.int64) * 255 + 32767) // 65535).astype(np.uint8))


def _without_alpha(image, background, facts):
    """An image without alpha: as it is where it is opaque, else laid on the background."""
    from PIL import Image

    if "transparency" not in image.info and image.mode not in ("RGBA", "LA", "PA", "La", "RGBa"):
        return image
    with_alpha = image.convert("RGBA")
    array = np.asarray(with_alpha)
    alpha, grey = array[..., 3], (array[..., :3] == array[..., :1])[array[..., 3] > 0].all()
    grey = grey and image.mode not in ("RGB", "RGBA", "RGBa")
    if alpha.min() == 255:
        facts.append("without an alpha channel that was opaque")
        return with_alpha.convert("L" if grey else "RGB")
    if background is None:
        share = np.mean(alpha < 255)
        raise _Unusable(
            f"is transparent in {share:.0%} of its pixels: say on which colour it lies, --background=white"
            if share >= 0.01
            else "is transparent in a few pixels: say on which colour it lies, --background=white"
        )
    facts.append("laid on the background")
    laid = Image.new("RGBA", image.size, (*background, 255))
    laid.alpha_composite(with_alpha)
    grey = grey and len(set(background)) == 1
    return laid.convert("RGB").convert("L") if grey else laid.convert("RGB")


def _plain_mode(image, facts):
    """An image as "L" or "RGB"."""
    if image.mode in ("L", "RGB"):
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "P":
        colours = np.asarray(image.convert("RGB"))
        if (colours == colours[..., :1]).all():
            return image.convert("RGB").getchannel(0)
        return image.convert("RGB")
    if image.mode in ("CMYK", "YCbCr", "LAB", "HSV", "RGBX"):
        if image.mode != "RGBX":
            facts.append(f"of {image.mode} made RGB")
        return image.convert("RGB")
    raise _Unusable(f"has mode {image.mode}: save it as 8-bit grey or RGB")


def _resizing(sizes, size: int) -> str:
    few = ", ".join(f"{width}x{height}" for width, height in sorted(sizes)[:3])
    return f"middle squares of {few}{' ...' if len(sizes) > 3 else ''} scaled to {size}x{size}"


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


def _unlike(shapes: collections.Counter, examples: dict) -> str:
    def describe(shape):
        height, width, channels = shape
        return f"{width}x{height} {'grey' if channels == 1 else 'RGB'}"

    common = shapes.most_common()
    told = ", ".join(f"{n} {describe(shape)} ({examples[shape].name})" for shape, n in common[:5])
    remedies = []
    if len({shape[:2] for shape in shapes}) > 1:
        remedies.append("--image_size=N scales all")
    if len({shape[2] for shape in shapes}) > 1:
        remedies.append("--channels=3 makes all RGB, --channels=1 grey")
    more = f" and {len(common) - 5} more" if len(common) > 5 else ""
    return f"images differ, {told}{more}: {', and '.join(remedies)}"


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
