"""The command that a user typed, for messages that name one to type next."""

import sys


def program(name="NAME"):
    """The words that start an app, as they started this process.

    Args:
      name: The app's name, for a process that no app started.

    Returns:
      "tfgen vae" where the command `tfgen` was used, which leaves these words in `sys.argv[0]`; else
      "python -m apps.vae".
    """
    if sys.argv[0].rpartition(" ")[0] in ("tfgen", "python -m tfgen"):
        return sys.argv[0]
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return f"python -m {spec.name}" if spec and spec.name.startswith("apps.") else f"python -m apps.{name}"
