"""The text encoders that Mochi 1, LTX-2 and Wan were trained with, as their pipelines in diffusers use them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import LTX2Pipeline, MochiPipeline, WanPipeline
from torch import Tensor
from transformers import AutoTokenizer, Gemma3ForConditionalGeneration, T5EncoderModel, UMT5EncoderModel

from services.common.catalogue import TritonModel


@dataclass(frozen=True)
class EncodedText:
    """What conditions a transformer."""

    tensors: dict[str, Tensor]
    """By the names that the family's denoiser reads, without a batch axis, in the encoder's precision."""
    tokens: int
    """Of the prompt, without padding."""


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
    def load(cls, entry: TritonModel, device: torch.device) -> PipelineText:
        """Loads it from the disk alone, in the entry's precision.

        Raises:
            OSError: something is missing.
        """
        options = {"dtype": getattr(torch, entry.precision), "local_files_only": True, "use_safetensors": True}
        directory = entry.text_encoder or entry.weights
        pipeline = cls.pipeline_class.from_pretrained(
            entry.weights,
            tokenizer=AutoTokenizer.from_pretrained(directory / "tokenizer", local_files_only=True),
            # Dropout would make runs differ.
            text_encoder=cls.encoder_class.from_pretrained(directory / "text_encoder", **options).eval(),
            **dict.fromkeys(cls.absent),
            **options,
        )
        return cls(pipeline.to(device))

    @classmethod
    def parts(cls, entry: TritonModel) -> tuple[tuple[Path, str], ...]:
        """Returns directory and name of all that decides the result."""
        directory = entry.text_encoder or entry.weights
        own = ("model_index.json", *cls.weights)
        return (directory, "tokenizer"), (directory, "text_encoder"), *((entry.weights, part) for part in own)

    def encode(self, text: str, negative: str) -> EncodedText:
        """Encodes a prompt and what its clip should not be."""
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


TEXTS: dict[str, type[PipelineText]] = {"MOCHI1": MochiText, "LTX2": Ltx2Text, "WAN": WanText}
"""By the model's name in the catalogue."""
