"""A finished video as the transcoder makes it: conformed, with its picture, signed, with the manifest beside it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from deploy.local.keys import prepare_keys
from services.transcoder.domain import Native
from services.transcoder.media import thumbnail
from services.transcoder.media.conform import conform
from services.transcoder.media.request import ConformRequest
from services.transcoder.provenance import Manifest, Provenance, load_signing_keys
from tests.support.media import moving_scene, write_mezzanine, write_sound

FPS, SECONDS = 24, 2


def make_picture(width: int, height: int, kind: str = "JPEG") -> bytes:
    """A still of the scene, encoded."""
    file = io.BytesIO()
    Image.fromarray(moving_scene(1, width, height)[0]).save(file, kind)
    return file.getvalue()


def make_video(directory: Path, work: Path) -> None:
    """Writes video.mp4, thumbnail.jpg, manifest.json and sound.wav; `work` takes what lies between."""
    keys = prepare_keys(work / "keys")
    provenance = Provenance(load_signing_keys(keys.c2pa_chain, keys.c2pa_key), keys.c2pa_root)
    manifest = Manifest(model="REFERENCE", native=Native(width=112, height=64, fps=12))
    write_mezzanine(work / "mezzanine.mkv", moving_scene(12 * SECONDS), 12)
    hum = 4000 * np.sin(np.linspace(0, 2 * np.pi * 220 * SECONDS, 32_000 * SECONDS))
    write_sound(directory / "sound.wav", hum.astype(np.int16), 32_000)
    conform(_request(work, directory / "sound.wav"))
    thumbnail.run({"video": str(work / "plain.mp4"), "output": str(directory / "thumbnail.jpg"), "max_side_px": 640})
    provenance.sign(work / "plain.mp4", directory / "video.mp4", "video/mp4", manifest)
    (directory / "manifest.json").write_text(provenance.verify(directory / "video.mp4", "video/mp4").manifest_json)


def _request(work: Path, sound: Path) -> ConformRequest:
    return ConformRequest(
        video=str(work / "mezzanine.mkv"),
        audio=str(sound),
        output=str(work / "plain.mp4"),
        width=854,
        height=480,
        fps=FPS,
        frames=FPS * SECONDS,
        preset="veryfast",
        crf=23,
        audio_bit_rate=96_000,
        threads=1,
    )
