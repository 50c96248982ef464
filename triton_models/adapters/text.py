"""The text encoders that Mochi 1, LTX-2, Wan and Open-Sora were trained with, used as their authors' pipelines do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import torch
from diffusers import LTX2Pipeline, MochiPipeline, WanPipeline
from torch import Tensor
from transformers import AutoTokenizer, Gemma3ForConditionalGeneration, T5EncoderModel, UMT5EncoderModel

from services.common.catalogue import TritonModel
from triton_models.modeling.opensora.captions import MAX_TOKENS, caption_of, cleaned


@dataclass(frozen=True)
class EncodedText:
    """What conditions a transformer."""

    tensors: dict[str, Tensor]
    """By the names that the family's denoiser reads, without a batch axis, in the encoder's precision."""
    tokens: int
    """Of the prompt, without padding."""


class TextFamily(Protocol):
    """The text encoder of a model, loaded."""

    @classmethod
    def load(cls, entry: TritonModel, device: torch.device) -> Self:
        """Loads it from the disk alone, in the entry's precision.

        Raises:
            OSError: something is missing.
        """

    @classmethod
    def parts(cls, entry: TritonModel) -> tuple[tuple[Path, str], ...]:
        """Returns directory and name of all that decides the result."""

    def encode(self, text: str, negative: str) -> EncodedText:
        """Encodes a prompt and what its clip should not be."""


class PipelineText(ABC):
    """The first part of a pipeline. Without a negative prompt it encodes the empty text against it."""

    pipeline_class: ClassVar[Any]
    encoder_class: ClassVar[Any]
    absent: ClassVar[tuple[str, ...]]
    """Parts of the pipeline that text does not need."""
    weights: ClassVar[tuple[str, ...]] = ()
    """Parts beside tokenizer and text encoder that it does."""
    length: ClassVar[int]
    """Tokens that a text is padded or cut to."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    @classmethod
    def load(cls, entry: TritonModel, device: torch.device) -> Self:
        """As `TextFamily.load`."""
        tokenizer, encoder = _load(cls.encoder_class, entry)
        pipeline = cls.pipeline_class.from_pretrained(
            entry.weights, tokenizer=tokenizer, text_encoder=encoder, **dict.fromkeys(cls.absent), **_options(entry)
        )
        return cls(pipeline.to(device))

    @classmethod
    def parts(cls, entry: TritonModel) -> tuple[tuple[Path, str], ...]:
        """As `TextFamily.parts`."""
        own = ("model_index.json", *cls.weights)
        return *_parts(entry), *((entry.weights, part) for part in own)

    def encode(self, text: str, negative: str) -> EncodedText:
        """As `TextFamily.encode`."""
        with torch.inference_mode():
            encoded = self._pipeline.encode_prompt(text, negative, max_sequence_length=self.length)
            tokens, tensors = self._tensors(*encoded)
            return EncodedText({name: tensor[0].cpu() for name, tensor in tensors.items()}, int(tokens))

    @abstractmethod
    def _tensors(self, *encoded: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the prompt's number of tokens, and what the pipeline returned, named."""


class MochiText(PipelineText):
    """T5."""

    pipeline_class = MochiPipeline
    encoder_class = T5EncoderModel
    absent = ("transformer", "vae", "scheduler")
    length = 256

    def _tensors(self, *encoded: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        names = ("text_embeddings", "text_mask", "negative_embeddings", "negative_mask")
        return encoded[1].sum(), dict(zip(names, encoded, strict=True))


class WanText(PipelineText):
    """UMT5, with zeros instead of a mask."""

    pipeline_class = WanPipeline
    encoder_class = UMT5EncoderModel
    absent = ("transformer", "vae", "scheduler", "transformer_2")
    length = 512

    def _tensors(self, *encoded: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        names = ("text_embeddings", "negative_embeddings")
        return encoded[0].any(-1).sum(), dict(zip(names, encoded, strict=True))


class Ltx2Text(PipelineText):
    """Gemma 3 and the connectors, which make a text for the picture and one for the sound of all its layers.

    The connectors run here, once for a prompt: the hidden states they read are fifty times as large as what they make.
    """

    pipeline_class = LTX2Pipeline
    encoder_class = Gemma3ForConditionalGeneration
    absent = ("transformer", "vae", "audio_vae", "vocoder", "scheduler")
    weights = ("connectors",)
    length = 1024

    def _tensors(self, *encoded: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        prompt, mask, negative, negative_mask = encoded
        video, audio, masks = self._pipeline.connectors(
            torch.cat([negative, prompt]),
            torch.cat([negative_mask, mask]),
            padding_side=self._pipeline.tokenizer.padding_side,
        )
        both = {"embeddings": video, "audio_embeddings": audio, "mask": masks}
        halves = {("negative", 0), ("text", 1)}
        return mask.sum(), {f"{kind}_{name}": tensor[at:][:1] for kind, at in halves for name, tensor in both.items()}


class OpenSoraText:
    """T5 alone, without padding, which it would not see. The absence of text is learned, and the transformer's own."""

    def __init__(self, tokenizer: Any, encoder: Any) -> None:
        self._tokenizer = tokenizer
        self._encoder = encoder

    @classmethod
    def load(cls, entry: TritonModel, device: torch.device) -> Self:
        """As `TextFamily.load`."""
        tokenizer, encoder = _load(T5EncoderModel, entry)
        return cls(tokenizer, encoder.to(device))

    @classmethod
    def parts(cls, entry: TritonModel) -> tuple[tuple[Path, str], ...]:
        """As `TextFamily.parts`."""
        return _parts(entry)

    def encode(self, text: str, negative: str) -> EncodedText:
        """Encodes the caption of a prompt; nothing against it without a negative prompt."""
        prompt = self._embed(caption_of(text))
        against = self._embed(cleaned(negative)) if negative.strip() else prompt[:0]
        tensors = {}
        for name, embeddings in (("text", prompt), ("negative", against)):
            tensors[f"{name}_embeddings"] = embeddings
            tensors[f"{name}_mask"] = torch.ones(len(embeddings), dtype=torch.bool)
        return EncodedText(tensors, len(prompt))

    def _embed(self, caption: str) -> Tensor:
        tokens = self._tokenizer(caption, max_length=MAX_TOKENS, truncation=True, return_tensors="pt")
        with torch.inference_mode():
            embeddings: Tensor = self._encoder(tokens.input_ids.to(self._encoder.device)).last_hidden_state[0]
            return embeddings.cpu()


TEXTS: dict[str, type[TextFamily]] = {
    "MOCHI1": MochiText,
    "LTX2": Ltx2Text,
    "WAN": WanText,
    "OPENSORA": OpenSoraText,
}
"""By the model's name in the catalogue."""


def _load(kind: Any, entry: TritonModel) -> tuple[Any, Any]:
    """The tokenizer and the text encoder of an entry."""
    directory = entry.text_encoder or entry.weights
    tokenizer = AutoTokenizer.from_pretrained(directory / "tokenizer", local_files_only=True)
    # Dropout would make runs differ.
    return tokenizer, kind.from_pretrained(directory / "text_encoder", **_options(entry)).eval()


def _options(entry: TritonModel) -> dict[str, Any]:
    return {"dtype": getattr(torch, entry.dtype), "local_files_only": True, "use_safetensors": True}


def _parts(entry: TritonModel) -> tuple[tuple[Path, str], ...]:
    directory = entry.text_encoder or entry.weights
    return (directory, "tokenizer"), (directory, "text_encoder")
