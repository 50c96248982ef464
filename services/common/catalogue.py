"""The catalogue: which models this installation can run, where, with which defaults and at which price."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeAlias

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.common.errors import InvalidArgument
from services.common.formats import MAX_STYLE, MAX_STYLED_PROMPT

TierName = Literal["REALTIME", "STANDARD", "CINEMA"]
ModelName = Literal["VEO3", "SORA", "MOCHI1", "LTX2", "GEN4", "OPENSORA", "REFERENCE", "WAN"]
AspectRatio = Literal["16:9", "9:16", "1:1", "4:3"]
StyleName: TypeAlias = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class TierProfile(_Entry):
    """How a model serves a tier."""

    steps: int = Field(ge=4, le=100)
    """Denoising steps when the request names none."""
    guidance_scale: float = Field(ge=1.0, le=20.0)
    """Classifier-free guidance when the request names none."""
    step_ms: float = Field(gt=0)
    """Planned time of a step for a 5 s clip, milliseconds; used until this installation has measured its own."""
    fixed_s: float = Field(ge=0)
    """Planned time of everything but the steps for a 5 s clip, seconds; used until measured."""
    deadline_s: float = Field(gt=0)
    """A job of this tier is given up after this long, seconds."""


class Native(_Entry):
    """What a model draws before the clip is conformed to what was asked for."""

    sizes: dict[AspectRatio, tuple[int, int]] = Field(min_length=1)
    """Width and height in pixels by aspect ratio; the model draws no other aspect."""
    fps: float = Field(gt=0)
    """Frames a second."""
    max_duration_s: float = Field(ge=5, le=60)
    """Longest clip, seconds."""
    lengths_s: tuple[float, ...] = ()
    """The only lengths it makes, seconds, rising; the shortest that is long enough is made and cut. Empty for any."""

    @model_validator(mode="after")
    def _longest_is_a_length(self) -> Native:
        if self.lengths_s and self.max_duration_s > self.lengths_s[-1]:
            raise ValueError("max_duration_s is longer than the last of lengths_s")
        return self


class _Model(_Entry):
    """What all models have, wherever they run."""

    price_multiplier: float = Field(gt=0)
    """Factor of this model in the price."""
    native: Native
    """What it draws."""
    speech: bool = False
    """Whether it can speak; a request for speech is refused otherwise."""
    first_frame: bool = False
    """Whether a clip can begin with a given picture."""
    reference_video: bool = False
    """Whether a clip can be made after a given video."""
    tiers: dict[TierName, TierProfile] = Field(min_length=1)
    """Tiers it serves."""
    fallbacks: tuple[ModelName, ...] = ()
    """Models that may take over where a request allows it, the first choice first; one not deployed is passed over."""


class TritonModel(_Model):
    """A model that the workers run on their Triton."""

    backend: Literal["triton"]
    """Where it runs."""
    dit: str
    """Triton model that denoises."""
    video_vae: str
    """Triton model that decodes latents."""
    audio: str | None = None
    """Triton model that makes sound; None for a silent model."""
    weights: Path
    """Directory of the weights, relative to the catalogue file."""
    text_encoder: Path | None = None
    """Directory of tokenizer and text encoder, relative likewise, where they are not within `weights`."""
    memory_gb: float = Field(gt=0)
    """Memory the loaded models take, GiB."""
    precision: Literal["float32", "bfloat16", "float16"] | None = None
    """What it computes in. Unless given, what REFERENCE's weights say, and bfloat16 for a model that others trained."""
    offload: Literal["none", "model", "sequential"] = "none"
    """What waits in main memory while it is not used: nothing, whole networks, or every layer. Needs a GPU, and one of
    the models that diffusers runs."""

    negative_prompt: ClassVar[bool] = True
    seed: ClassVar[bool] = True

    @property
    def sound(self) -> bool:
        """Whether it makes sound; a request for sound is refused otherwise."""
        return self.audio is not None

    @property
    def dtype(self) -> str:
        """The precision of a model whose weights do not say theirs."""
        return self.precision or "bfloat16"

    @property
    def parts(self) -> tuple[str, ...]:
        """The Triton models that make it up, in the order of a job's states."""
        return tuple(filter(None, (self.dit, self.video_vae, self.audio)))


class ProviderModel(_Model):
    """A model behind somebody else's API, driven by a provider worker."""

    backend: Literal["provider"]
    """Where it runs."""
    provider: Literal["vertex_veo", "openai_videos", "runway"]
    """Which API."""
    provider_model: str
    """The provider's name of the model."""
    sound: bool = False
    """Whether it makes sound; a request for sound is refused otherwise."""
    negative_prompt: bool = False
    """Whether it heeds a negative prompt; a request with one is refused otherwise."""
    seed: bool = False
    """Whether it heeds a seed; a request with one is refused otherwise."""
    max_prompt_utf16: int = Field(default=2 * MAX_STYLED_PROMPT, ge=1)
    """Longest prompt it takes, its style included, in UTF-16 units."""
    cost_usd_per_s: float = Field(ge=0)
    """What a second of video costs, US dollars; recorded where the provider does not report its charge itself."""
    cost_usd_per_credit: float = Field(default=0, ge=0)
    """What a credit costs, US dollars, of a provider that reports its charge in credits."""


ModelEntry: TypeAlias = Annotated[TritonModel | ProviderModel, Field(discriminator="backend")]
"""A model that can be asked for."""


class StylePreset(_Entry):
    """A style, by what it makes of a prompt."""

    description: str
    """What it makes of a clip, for people."""
    prompt: str = Field(max_length=MAX_STYLE)
    """The words around the prompt, with `{prompt}` once in its place."""
    negative_prompt: str = Field(default="", max_length=MAX_STYLE - 2)
    """What it steers away from, besides what the user does."""

    @model_validator(mode="after")
    def _has_one_place(self) -> StylePreset:
        if self.prompt.count("{prompt}") != 1:
            raise ValueError("prompt must contain {prompt} once")
        return self

    def apply(self, prompt: str, negative_prompt: str) -> tuple[str, str]:
        """A prompt and a negative prompt in this style; at most MAX_STYLED_PROMPT code points each."""
        avoided = ", ".join(filter(None, (negative_prompt, self.negative_prompt)))
        return self.prompt.replace("{prompt}", prompt), avoided


class Catalogue(_Entry):
    """Everything that can be asked for."""

    default_model: ModelName
    """Model behind the bare tier names of the REST API."""
    models: dict[ModelName, ModelEntry]
    """Deployed models by name."""
    style_presets: dict[StyleName, StylePreset] = {}
    """Styles by name; each is offered with every model."""

    @model_validator(mode="after")
    def _default_is_deployed(self) -> Catalogue:
        if self.default_model not in self.models:
            raise ValueError(f"default_model {self.default_model} is not among the models")
        return self

    @model_validator(mode="after")
    def _nobody_is_its_own_fallback(self) -> Catalogue:
        for name, entry in self.models.items():
            if name in entry.fallbacks or len(set(entry.fallbacks)) < len(entry.fallbacks):
                raise ValueError(f"fallbacks of {name} name the model itself, or one twice")
        return self

    def styled(self, style_preset: str, prompt: str, negative_prompt: str) -> tuple[str, str]:
        """What a model reads of a prompt and a negative prompt; without a style, what the user wrote.

        Raises:
            InvalidArgument: There is no such style (any more).
        """
        if not style_preset:
            return prompt, negative_prompt
        if style_preset not in self.style_presets:
            raise InvalidArgument.of_field("style_preset", f"must be one of {', '.join(self.style_presets) or 'none'}")
        return self.style_presets[style_preset].apply(prompt, negative_prompt)

    @property
    def triton_models(self) -> dict[str, TritonModel]:
        """Those that run on Triton."""
        return {name: entry for name, entry in self.models.items() if isinstance(entry, TritonModel)}

    @property
    def provider_models(self) -> dict[str, ProviderModel]:
        """Those behind other people's APIs."""
        return {name: entry for name, entry in self.models.items() if isinstance(entry, ProviderModel)}

    def fallbacks_of(self, name: ModelName) -> list[ModelName]:
        """The deployed models that may take over from a model, the first choice first."""
        return [fallback for fallback in self.models[name].fallbacks if fallback in self.models]


def load_catalogue(path: Path) -> Catalogue:
    """Reads a catalogue file; its paths become absolute.

    Raises:
        ValueError: the file is not a valid catalogue; the text names the field.
        OSError: the file cannot be read.
    """
    catalogue = Catalogue.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    models = {name: _located(entry, path.parent) for name, entry in catalogue.models.items()}
    return catalogue.model_copy(update={"models": models})


def _located(entry: ModelEntry, folder: Path) -> ModelEntry:
    if isinstance(entry, ProviderModel):
        return entry
    paths = {"weights": entry.weights, "text_encoder": entry.text_encoder}
    found = {field: (folder / path).resolve() for field, path in paths.items() if path is not None}
    return entry.model_copy(update=found)
