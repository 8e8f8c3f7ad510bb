"""Does an export answer? It is loaded as a stranger would, without the model's class, and asked."""

import numpy as np
import tensorflow as tf

from tfgen.serving.requests import example


def check(version_directory, texts=None):
    """Loads an export without the model's class and runs every signature on zeros, ones and a text.

    Args:
      version_directory: `<directory>/<version>`, as `export` returns it.
      texts: A string that each signature answers, by its name; "the" for others.

    Returns:
      Dict of outputs (arrays by name) by signature name.

    Raises:
      ValueError: If nothing can be loaded, or an answer is not finite or has not one row for each row
        of the request.
    """
    try:
        loaded = tf.saved_model.load(str(version_directory))
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"no export can be loaded from {version_directory}: {reason}") from error
    answers = {}
    for name, signature in loaded.signatures.items():
        inputs = example(signature.structured_input_signature[1], text=(texts or {}).get(name, "the"))
        tensors = {key: tf.convert_to_tensor(value) for key, value in inputs.items()}
        try:
            answers[name] = {key: value.numpy() for key, value in signature(**tensors).items()}
        except tf.errors.OpError as error:
            reason = str(error).strip().splitlines()[0]
            raise ValueError(
                f"signature {name!r} does not answer zeros, ones and a text: {reason}"
            ) from error
        for key, value in answers[name].items():
            num = len(next(iter(inputs.values())))
            if value.shape[:1] != (num,):
                raise ValueError(
                    f"signature {name!r} answers {num} rows with {key!r} of shape {value.shape}: "
                    "the first dimension must be the batch."
                )
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                raise ValueError(
                    f"signature {name!r} answers zeros and ones with {key!r} that is not finite; "
                    "train again, or mend the model."
                )
    return answers
