"""Tensors in the scratch directory, and pictures in messages."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from triton_models.modeling.checkpoint import write_atomically
from triton_models.modeling.text import PromptEmbedding
from triton_models.serving.errors import InvalidRequest
from triton_models.serving.respond import Message

_QUALITY = 80


def read_embeddings(path: Path) -> tuple[PromptEmbedding, PromptEmbedding | None]:
    """Returns the prompt's embedding and the negative prompt's; None stands for the learned null text.

    Raises:
        InvalidRequest: the file is missing or is not one of embeddings.
    """
    tensors = _read(path)
    try:
        prompt = PromptEmbedding(tensors["text_embeddings"].float(), tensors["text_mask"].bool())
    except KeyError as error:
        raise InvalidRequest(f"embeddings lack {error}") from None
    negative = tensors.get("negative_embeddings")
    if negative is None or not len(negative):
        return prompt, None
    mask = tensors.get("negative_mask", torch.ones(len(negative)))
    return prompt, PromptEmbedding(negative.float(), mask.bool())


def read_latents(path: Path) -> Tensor:
    """Returns float32 [1, F, H, W, C].

    Raises:
        InvalidRequest: the file is missing or does not hold latents.
    """
    latent = _read(path).get("latent")
    if latent is None or latent.dim() != 5:
        raise InvalidRequest("latents must hold `latent` with five axes")
    return latent.float()


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Returns uint8 [H, W, 3].

    Raises:
        InvalidRequest: the file is missing or does not hold a picture.
    """
    return _pixels(_read(path).get("picture"), 3, "a first frame must hold `picture`, uint8 [height, width, 3]")


def read_frames(path: Path) -> NDArray[np.uint8]:
    """Returns uint8 [F, H, W, 3].

    Raises:
        InvalidRequest: the file is missing or does not hold frames.
    """
    expected = "a reference must hold `frames`, uint8 [frames, height, width, 3]"
    return _pixels(_read(path).get("frames"), 4, expected)


def _pixels(tensor: Tensor | None, axes: int, expected: str) -> NDArray[np.uint8]:
    right = tensor is not None and tensor.dtype == torch.uint8 and tensor.dim() == axes and tensor.shape[-1] == 3
    if tensor is None or not right:
        raise InvalidRequest(expected)
    if not tensor.numel():
        raise InvalidRequest(f"{expected}, not empty")
    pixels: NDArray[np.uint8] = tensor.numpy()
    return pixels


def to_jpeg(picture: NDArray[np.uint8]) -> str:
    """Returns uint8 [H, W, 3] as JPEG in base64."""
    encoded = io.BytesIO()
    Image.fromarray(picture).save(encoded, "JPEG", quality=_QUALITY)
    return base64.b64encode(encoded.getvalue()).decode()


def write_latents(path: Path, latents: Mapping[str, Tensor]) -> Message:
    """Writes `latent` [1, F, H, W, C] and the others; returns the description of the file and of `latent`."""
    latent = latents["latent"]
    blob = save({name: tensor.contiguous() for name, tensor in latents.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, blob)
    return {
        "path": str(path),
        "sha256": hashlib.sha256(blob).hexdigest(),
        "size_bytes": len(blob),
        "shape": list(latent.shape),
        "dtype": str(latent.dtype).removeprefix("torch."),
        "device": str(latent.device),
    }


def read_tensors(path: Path, *names: str) -> dict[str, Tensor]:
    """Returns the named tensors of a file.

    Raises:
        InvalidRequest: the file is missing, is not one of tensors, or lacks one.
    """
    tensors = _read(path)
    if missing := [name for name in names if name not in tensors]:
        raise InvalidRequest(f"{path.name} lacks {', '.join(missing)}")
    return {name: tensors[name] for name in names}


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise InvalidRequest(f"{path.name} cannot be read: {type(error).__name__}") from None
