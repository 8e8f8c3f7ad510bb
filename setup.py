"""What pyproject.toml cannot say: the folder `apps` is installed as the package `tfgen.apps`.

In a clone an app is `python -m apps.vae`. Among installed packages the name `apps` belongs to whoever has a
folder of that name, so there it stands within tfgen and is run as `tfgen vae`.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["tfgen", "tfgen.*"]), "tfgen.apps"],
    package_dir={"tfgen.apps": "apps"},
)
