"""What a round of chaos decides without a mesh."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from tests.chaos.history.model import Leak, Media
from tests.chaos.rounds import TARGETS, find_leaks, kills_of, read_media
from tests.support.media import moving_scene, write_mezzanine
from tests.unit.chaos.histories import DONE, job


def test_twenty_seeds_kill_everything_one_at_a_time_and_all_at_once() -> None:
    assert {target for seed in range(1, 21) for target in kills_of(seed)} == {*TARGETS, "all"}
    assert kills_of(5) == kills_of(5)


def test_a_secret_in_a_log_is_found(tmp_path: Path) -> None:
    (tmp_path / "worker.log").write_text('{"message": "ok"}\n{"message": "drew a cassowary"}\n')
    (tmp_path / "billing.log").write_text("nothing\n")
    assert find_leaks(tmp_path, {"prompt": "cassowary"}) == [Leak(log="worker.log", secret="prompt")]


def stored(folder: Path, frames: list[Any]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """A job's artifacts and the object store's content."""
    write_mezzanine(folder / "video.mkv", frames, fps=12)
    data = (folder / "video.mkv").read_bytes()
    artifact = {"uri": "s3://mezzanine/video", "sha256": hashlib.sha256(data).hexdigest()}
    return {"mezzanine": artifact}, {"s3://mezzanine/video": data}


def media(artifacts: dict[str, Any], objects: dict[str, bytes]) -> Media | None:
    return read_media(job(DONE, "COMPLETED", artifacts=artifacts), objects.__getitem__)


def test_clips_are_compared_by_their_pixels(tmp_path: Path) -> None:
    frames = moving_scene(3)
    first, again = (media(*stored(tmp_path, frames)) for _ in range(2))
    frames[2] = np.where(frames[2] == 60, 61, frames[2]).astype(np.uint8)
    assert first == again
    assert media(*stored(tmp_path, frames)) != first


def test_a_missing_or_damaged_object_is_no_clip(tmp_path: Path) -> None:
    artifacts, objects = stored(tmp_path, moving_scene(2))
    assert media(artifacts, {}) is None
    assert media(artifacts, {uri: data + b"x" for uri, data in objects.items()}) is None
