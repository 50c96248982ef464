"""Held-out prompts, hits seen in clips, and the sheets that are drawn of samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from triton_models.training.impacts import seen_hits_s
from triton_models.training.judges.questions import kind_of
from triton_models.training.samples import held_out, scenes_from, telling_caption
from triton_models.training.sheet import save_captioned
from triton_models.training.world import words


def test_held_out_scenes_are_of_every_kind_and_always_the_same() -> None:
    scenes = held_out(40)
    kinds = [kind_of(scene) for scene in scenes]
    assert [kinds.count(kind) for kind in ("object", "landscape", "two objects", "face")] == [20, 10, 5, 5]
    assert scenes == held_out(40)
    assert not {scene.seed for scene in scenes} & {scene.seed for scene in scenes_from(8 * 10**8, 40)}


def test_captions_of_the_measurement_name_colour_and_shape() -> None:
    for scene in held_out(60):
        text = telling_caption(scene)
        for actor in scene.actors:
            assert any(word in text for word in words.COLOUR[actor.colour])
            assert any(word in text for word in words.SHAPE[actor.shape])


@pytest.mark.parametrize("first_s", [0.31, 0.4, 0.55])
def test_hits_are_found_between_frames(first_s: float) -> None:
    fps, period_s = 12, 1.2
    share = ((np.arange(60) / fps - first_s) / period_s) % 1
    height = 0.8 - 0.5 * 4 * share * (1 - share)
    found = seen_hits_s(height, fps)
    true = np.arange(first_s, 4.8, period_s)
    assert len(found) == len(true)
    assert np.abs(np.array(found) - true).max() < 0.02


def test_a_sheet_has_a_title_and_a_row_a_clip(tmp_path: Path) -> None:
    clip = np.zeros((5, 64, 112, 3), np.uint8)
    save_captioned([("a prompt", [clip, clip])], tmp_path / "sheet.jpg", columns=4)
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert sheet.size == (4 * 112, 14 + 2 * 65)
