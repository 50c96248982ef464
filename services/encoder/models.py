"""The text encoders of the deployed models. Importing this module imports torch: do it in a thread."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save

from services.common.catalogue import Catalogue
from triton_models.modeling.reference import CONFIG_FILE, TEXT_FILE, load_text_encoder
from triton_models.modeling.text import PromptEmbedding, TextEncoder

_REVISION_DIGITS = 16


class MissingWeightsError(RuntimeError):
    """A model of the catalogue has no usable text encoder; the text says which."""


@dataclass(frozen=True)
class Encoded:
    """An encoded prompt."""

    blob: bytes
    """Safetensors: text_embeddings [L, D] float32, text_mask [L] bool, negative_embeddings [M, D], negative_mask [M].
    Without a negative prompt M is 0."""
    token_count: int
    dim: int


class TextModel:
    """One model's text encoder."""

    def __init__(self, encoder: TextEncoder, revision: str) -> None:
        self._encoder = encoder
        self.revision = revision
        """First digits of the sha256 of its weights and configuration."""

    @classmethod
    def load(cls, directory: Path) -> TextModel:
        """Loads it from a model's directory.

        Raises:
            MissingWeightsError: The weights are missing or do not fit.
        """
        try:
            content = b"".join((directory / name).read_bytes() for name in (CONFIG_FILE, TEXT_FILE))
            encoder = load_text_encoder(directory)
        except (OSError, RuntimeError) as exc:
            message = f"{directory} holds no usable text encoder: {exc}"
            raise MissingWeightsError(message) from exc
        return cls(encoder, hashlib.sha256(content).hexdigest()[:_REVISION_DIGITS])

    def encode(self, text: str, negative: str) -> Encoded:
        """Encodes a prompt; the same prompt gives the same bytes."""
        prompt = self._encoder.encode(text)
        against = self._encoder.encode(negative) if negative.strip() else _nothing(prompt)
        tensors = {
            "text_embeddings": prompt.embeddings,
            "text_mask": prompt.mask,
            "negative_embeddings": against.embeddings,
            "negative_mask": against.mask,
        }
        count, dim = prompt.embeddings.shape
        return Encoded(save({name: tensor.contiguous() for name, tensor in tensors.items()}), count, dim)


def load_models(catalogue: Catalogue, threads: int) -> Mapping[str, TextModel]:
    """Loads the text encoder of every model that runs here, by the model's name; models that share weights share it."""
    torch.set_num_threads(threads)
    directories = {entry.weights for entry in catalogue.triton_models.values()}
    loaded = {directory: TextModel.load(directory) for directory in directories}
    return {name: loaded[entry.weights] for name, entry in catalogue.triton_models.items()}


def _nothing(like: PromptEmbedding) -> PromptEmbedding:
    return PromptEmbedding(like.embeddings[:0], like.mask[:0])
