"""Fixtures for every test."""

from __future__ import annotations

pytest_plugins = ["tests.support.servers", "tests.support.mesh", "tests.support.inference", "tests.support.chromium"]
