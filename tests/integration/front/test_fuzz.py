"""A short selection of what `make fuzz` sends."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz.run import fuzz
from tests.support.front import Front

CASES = 200


async def test_no_request_surprises_the_gateway(front: Front, tmp_path: Path) -> None:
    # The coverage phase alone sends some 600 cases.
    outcome = await fuzz(front, tmp_path, CASES, "--phases", "examples,fuzzing,stateful")
    assert outcome.failures == [], "\n".join(outcome.outputs)
    assert outcome.cases >= CASES
