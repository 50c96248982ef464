"""The picture that stands for a clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from services.transcoder.media import thumbnail
from services.transcoder.media.conform import conform
from services.transcoder.media.request import ConformRequest
from tests.support.media import write_mezzanine


def test_the_most_typical_histogram_wins() -> None:
    dark, typical, bright = [1.0, 0, 0], [0.2, 0.6, 0.2], [0, 0, 1.0]
    assert thumbnail.most_typical(np.array([dark, typical, typical, bright])) == 1


def test_a_black_start_is_not_chosen(tmp_path: Path) -> None:
    black, scene = np.zeros((64, 112, 3), np.uint8), np.full((64, 112, 3), (200, 40, 40), np.uint8)
    write_mezzanine(tmp_path / "m.mkv", [black] * 6 + [scene] * 90, 12)
    request = ConformRequest(
        video=str(tmp_path / "m.mkv"),
        audio=None,
        output=str(tmp_path / "v.mp4"),
        width=160,
        height=90,
        fps=24,
        frames=192,
        preset="veryfast",
        crf=20,
        audio_bit_rate=160_000,
        threads=2,
    )
    conform(request)
    answer = thumbnail.run({"video": request.output, "output": str(tmp_path / "t.jpg"), "max_side_px": 100})
    assert answer == {"width": 100, "height": 56}
    with Image.open(tmp_path / "t.jpg") as picture:
        colour = np.asarray(picture.convert("RGB"))[28, 50].astype(int)
    assert np.abs(colour - (200, 40, 40)).max() < 10
