"""The OpenAPI document of the REST API: generated from the contracts, committed, served by the gateway."""

from __future__ import annotations

from pathlib import Path

DOCUMENT = Path(__file__).with_name("openapi.json")
