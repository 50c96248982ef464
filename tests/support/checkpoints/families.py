"""The catalogue's entries of Mochi 1, LTX-2, Wan and Open-Sora, for tiny checkpoints of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from services.common.catalogue import TritonModel
from tests.support.catalogue import entry_of
from tests.support.checkpoints.ltx2 import write_ltx2
from tests.support.checkpoints.mochi import write_mochi
from tests.support.checkpoints.opensora import write_opensora
from tests.support.checkpoints.text import t5, tokenizer
from tests.support.checkpoints.wan import write_wan


def _write_whole_opensora(directory: Path) -> None:
    """With the text encoder that its authors used, which was published by others."""
    write_opensora(directory)
    torch.manual_seed(0)
    t5().save_pretrained(directory / "text_encoder")
    tokenizer(300).save_pretrained(directory / "tokenizer")


WRITERS: dict[str, Callable[[Path], None]] = {
    "MOCHI1": write_mochi,
    "LTX2": write_ltx2,
    "WAN": write_wan,
    "OPENSORA": _write_whole_opensora,
}
"""What writes a checkpoint, by the model's name."""
WIDTH, HEIGHT, FPS = 64, 32, 4
"""Of what the tiny models draw."""


def tiny_entry(name: str, weights: Path) -> dict[str, Any]:
    """Returns the shipped entry of a model with its weights elsewhere and the smallest clips."""
    entry = entry_of(name, weights=str(weights), precision="float32", memory_gb=0.5)
    native = {**entry["native"], "sizes": {"16:9": [WIDTH, HEIGHT]}, "fps": FPS}
    return {**entry, "native": native}


def tiny_model(name: str, weights: Path, **changes: Any) -> TritonModel:
    """Returns the entry as a process reads it."""
    return TritonModel.model_validate({**tiny_entry(name, weights), **changes})
