"""`python -m deploy.local`: the whole mesh on this machine."""

from __future__ import annotations

from deploy.local.commands import app

if __name__ == "__main__":
    app(prog_name="python -m deploy.local")
