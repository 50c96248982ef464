"""Generates the Python code of the contracts into protos/gen/python; with --check only says whether it has drifted.

The code is generated with the oldest grpcio-tools that any part of the mesh can load, because generated code refuses
older runtimes. google/* is not generated: googleapis-common-protos carries it.
"""

from __future__ import annotations

import filecmp
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PROTOS = Path(__file__).resolve().parent
GENERATED = PROTOS / "gen" / "python"


def generate(target: Path) -> None:
    """Runs protoc over every contract, writing messages, gRPC stubs and their types under `target`."""
    target.mkdir(parents=True, exist_ok=True)
    sources = sorted(str(path.relative_to(PROTOS)) for path in (PROTOS / "kinemesh").rglob("*.proto"))
    outputs = [f"--{kind}_out={target}" for kind in ("python", "grpc_python")]
    outputs += [f"--{kind}_out=quiet:{target}" for kind in ("mypy", "mypy_grpc")]
    command = [sys.executable, "-m", "grpc_tools.protoc", "-Ivendor", "-I.", *outputs, *sources]
    scripts = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}"}
    subprocess.run(command, cwd=PROTOS, check=True, env=environment)
    _make_packages(target)


def drift(left: Path, right: Path) -> list[str]:
    """Names of files under `left` or `right` that are not the same in both."""
    names = {path.relative_to(root) for root in (left, right) for path in root.rglob("*.py*") if path.suffix != ".pyc"}
    _, mismatched, missing = filecmp.cmpfiles(left, right, sorted(map(str, names)), shallow=False)
    return mismatched + missing


def _make_packages(target: Path) -> None:
    for directory in [target / "kinemesh", *(path for path in (target / "kinemesh").rglob("*") if path.is_dir())]:
        if directory.name != "__pycache__":
            (directory / "__init__.py").write_text('"""Generated from the contracts by protos/generate.py."""\n')


def main() -> int:
    """Generates, or with --check compares; returns the exit status."""
    if "--check" not in sys.argv:
        generate(GENERATED)
        return 0
    with tempfile.TemporaryDirectory() as fresh:
        generate(Path(fresh))
        changed = drift(Path(fresh), GENERATED)
    for name in changed:
        sys.stderr.write(f"generated code has drifted: {name}; run `make protos`\n")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
