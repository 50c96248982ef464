"""The text encoders of the deployed models. Importing this module imports torch: do it in a thread."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from safetensors.torch import save
from torch import Tensor

from services.common.catalogue import Catalogue, TritonModel
from triton_models.modeling.engine import choose_device, digest_of
from triton_models.modeling.reference import CONFIG_FILE, TEXT_FILE, load_text_encoder
from triton_models.modeling.text import PromptEmbedding, TextEncoder

if TYPE_CHECKING:
    from triton_models.adapters.text import TextFamily

_REVISION_DIGITS = 16


class MissingWeightsError(RuntimeError):
    """A model of the catalogue has no usable text encoder; the text says which."""


@dataclass(frozen=True)
class Encoded:
    """An encoded prompt."""

    blob: bytes
    """Safetensors: text_embeddings [L, D], text_mask [L] bool, negative_embeddings [M, D], negative_mask [M], and what
    else the model's denoiser reads. Where the model has a learned null text, M is 0 without a negative prompt."""
    token_count: int
    dim: int


class TextModel(Protocol):
    """One model's text encoder."""

    revision: str
    """First digits of the sha256 of its weights and configuration."""

    def encode(self, text: str, negative: str) -> Encoded:
        """Encodes a prompt; the same prompt gives the same bytes."""


class ReferenceText:
    """REFERENCE's encoder, which was trained with it."""

    def __init__(self, encoder: TextEncoder, revision: str) -> None:
        self._encoder = encoder
        self.revision = revision

    @classmethod
    def load(cls, directory: Path) -> ReferenceText:
        """Loads it; raises OSError or RuntimeError if the weights are missing or do not fit."""
        content = b"".join((directory / name).read_bytes() for name in (CONFIG_FILE, TEXT_FILE))
        return cls(load_text_encoder(directory), hashlib.sha256(content).hexdigest()[:_REVISION_DIGITS])

    def encode(self, text: str, negative: str) -> Encoded:
        """Encodes a prompt; as long as its words."""
        prompt = self._encoder.encode(text)
        against = self._encoder.encode(negative) if negative.strip() else _nothing(prompt)
        tensors = {
            "text_embeddings": prompt.embeddings,
            "text_mask": prompt.mask,
            "negative_embeddings": against.embeddings,
            "negative_mask": against.mask,
        }
        return _encoded(tensors, len(prompt.embeddings))


class PublishedText:
    """The encoder of a model that others trained."""

    def __init__(self, family: TextFamily, revision: str) -> None:
        self._family = family
        self.revision = revision

    @classmethod
    def load(cls, name: str, entry: TritonModel, device: torch.device) -> PublishedText:
        """Loads it; raises OSError if something is missing, ValueError if it is not what it should be."""
        # Not before a model needs it: importing it takes seconds and 500 MiB.
        from triton_models.adapters.text import TEXTS

        kind = TEXTS[name]
        parts = [digest_of(directory, part) for directory, part in kind.parts(entry)]
        content = " ".join([*parts, entry.dtype])
        return cls(kind.load(entry, device), hashlib.sha256(content.encode()).hexdigest()[:_REVISION_DIGITS])

    def encode(self, text: str, negative: str) -> Encoded:
        """Encodes a prompt; padded to the model's length where it is used to that."""
        encoded = self._family.encode(text, negative)
        return _encoded(encoded.tensors, encoded.tokens)


def load_models(catalogue: Catalogue, threads: int, device: str) -> Mapping[str, TextModel]:
    """Loads the text encoder of every model that runs here, by the model's name.

    Raises:
        MissingWeightsError: the weights of a model are missing or do not fit.
        ValueError: the device is not there.
    """
    torch.set_num_threads(threads)
    place = choose_device(device)
    return {name: _load(name, entry, place) for name, entry in catalogue.triton_models.items()}


def _load(name: str, entry: TritonModel, device: torch.device) -> TextModel:
    try:
        return ReferenceText.load(entry.weights) if name == "REFERENCE" else PublishedText.load(name, entry, device)
    except (OSError, RuntimeError, ValueError) as exc:
        message = f"{entry.text_encoder or entry.weights} holds no usable text encoder of {name}: {exc}"
        raise MissingWeightsError(message) from exc


def _encoded(tensors: Mapping[str, Tensor], token_count: int) -> Encoded:
    blob = save({name: tensor.contiguous() for name, tensor in tensors.items()})
    return Encoded(blob, token_count, tensors["text_embeddings"].shape[1])


def _nothing(like: PromptEmbedding) -> PromptEmbedding:
    return PromptEmbedding(like.embeddings[:0], like.mask[:0])
