"""Starts the billing service."""

from __future__ import annotations

import sys
from functools import partial

from services.billing.app import SERVICE, build
from services.billing.settings import Settings
from services.common.lifecycle import run_service

if __name__ == "__main__":
    settings = Settings()
    sys.exit(run_service(SERVICE, settings, partial(build, settings)))
