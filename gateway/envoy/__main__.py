"""`python -m gateway.envoy DIRECTORY` renders the configuration from KINEMESH_GATEWAY_* and prints its path."""

from __future__ import annotations

import sys
from pathlib import Path

from gateway.envoy.bootstrap import render
from gateway.envoy.settings import GatewaySettings

if __name__ == "__main__":
    sys.stdout.write(f"{render(GatewaySettings(), Path(sys.argv[1]))}\n")
