"""Runs the orchestrator: `python -m services.orchestrator`."""

from __future__ import annotations

import sys
from functools import partial

from services.common.lifecycle import run_service
from services.orchestrator.app import build
from services.orchestrator.settings import Settings

if __name__ == "__main__":
    settings = Settings()
    sys.exit(run_service("orchestrator", settings, partial(build, settings)))
