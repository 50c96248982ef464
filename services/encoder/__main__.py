"""Starts the encoder service."""

from __future__ import annotations

import sys
from functools import partial

from services.common.lifecycle import run_service
from services.encoder.app import SERVICE, build
from services.encoder.settings import Settings

if __name__ == "__main__":
    settings = Settings()
    sys.exit(run_service(SERVICE, settings, partial(build, settings)))
