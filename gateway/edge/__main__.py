"""`python -m gateway.edge`."""

from __future__ import annotations

import sys
from functools import partial

from gateway.edge.app import build
from gateway.edge.settings import EdgeSettings
from services.common.lifecycle import run_service

if __name__ == "__main__":
    settings = EdgeSettings()
    sys.exit(run_service("edge", settings, partial(build, settings)))
