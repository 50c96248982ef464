"""The `kinemesh` command."""

from __future__ import annotations


def main() -> None:
    """Entry point of the installed command."""
    from gateway.cli.commands import run

    run()
