"""What may be asked of a provider's model, and who may take over from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kinemesh.video.v1 import video_service_pb2 as pb
from services.common.catalogue import Catalogue, load_catalogue
from services.common.errors import InvalidArgument
from services.orchestrator.domain.spec import VideoSpec, read_spec
from tests.support.catalogue import entry_of, write_catalogue


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    folder = tmp_path_factory.mktemp("catalogue")
    return load_catalogue(
        write_catalogue(folder, Path("weights"), **{name: entry_of(name) for name in ("VEO3", "SORA", "GEN4")})
    )


def read(catalogue: Catalogue, **fields: Any) -> VideoSpec:
    return read_spec(pb.CreateVideoRequest(**{"prompt": "a lake", "model": "sora", **fields}), catalogue)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"num_inference_steps": 8}, "num_inference_steps"),
        ({"guidance_scale": 3.0}, "guidance_scale"),
        ({"negative_prompt": "rain"}, "negative_prompt"),
        ({"seed": 7}, "seed"),
        ({"duration_seconds": 12.5}, "duration_seconds"),
        ({"aspect_ratio": "1:1"}, "aspect_ratio"),
        ({"tier": "realtime"}, "tier"),
        ({"enable_audio": True, "audio_config": {"include_music": True}}, "audio_config.include_music"),
        ({"enable_audio": True, "audio_config": {"include_ambient": False}}, "audio_config.include_ambient"),
        ({"enable_audio": True, "audio_config": {"include_speech": True}}, "audio_config.include_speech"),
        ({"model": "gen4", "enable_audio": True}, "enable_audio"),
        ({"model": "gen4", "prompt": "x" * 1001}, "prompt"),
        ({"model": "gen4", "prompt": "\U0001f30a" * 501}, "prompt"),
    ],
)
def test_what_a_provider_cannot_be_told_is_refused(catalogue: Catalogue, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        read(catalogue, **fields)
    assert [violation.field for violation in refused.value.violations] == [field]


def test_what_a_provider_heeds_is_taken(catalogue: Catalogue) -> None:
    spec = read(catalogue, model="veo3", negative_prompt="rain", seed=7, enable_audio=True, duration_seconds=7.5)
    assert (spec.negative_prompt, spec.seed, spec.steps) == ("rain", 7, 100)


def test_whoever_takes_over_must_draw_all_that_is_asked_for(catalogue: Catalogue) -> None:
    def names(**fields: Any) -> list[str]:
        return [spec.model for spec in read(catalogue, allow_fallback=True, **fields).fallbacks]

    assert names() == ["VEO3", "GEN4", "REFERENCE"]
    assert names(duration_seconds=9) == ["GEN4", "REFERENCE"]
    assert names(enable_audio=True, duration_seconds=9) == ["REFERENCE"]
    assert names(model="veo3", negative_prompt="rain") == ["REFERENCE"]
    assert not read(catalogue).fallbacks


def test_it_serves_the_same_tier_with_its_own_defaults(catalogue: Catalogue) -> None:
    *_, reference = read(catalogue, allow_fallback=True).fallbacks
    assert (reference.tier, reference.steps, reference.fallbacks) == ("STANDARD", 50, ())


@pytest.mark.parametrize("fields", [{"model": "reference"}, {"model": "standard"}])
def test_a_fallback_that_nobody_could_be_is_refused(catalogue: Catalogue, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument) as refused:
        read(catalogue, allow_fallback=True, **fields)
    assert refused.value.reason == "UNSUPPORTED_FIELD"
    assert refused.value.violations[0].field == "allow_fallback"
