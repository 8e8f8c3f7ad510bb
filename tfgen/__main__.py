"""`python -m tfgen` is the command `tfgen`."""

from tfgen.cli.main import main

if __name__ == "__main__":
    main()
