"""What may be asked for."""

from __future__ import annotations

import base64
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinemesh.video.v1 import video_service_pb2 as pb
from services.common.catalogue import Catalogue
from services.common.errors import InvalidArgument
from services.orchestrator.domain.spec import VideoSpec, read_spec
from tests.support.pictures import encoded, scene
from tests.unit.orchestrator.builders import catalogue

CATALOGUE = catalogue()
PICTURE = encoded(scene())
REFERENCE = "https://a.example/v.mp4"
SECRET = f"whsec_{base64.b64encode(b's' * 24).decode()}"


def read(**fields: Any) -> VideoSpec:
    return read_spec(pb.CreateVideoRequest(**{"prompt": "a lake", **fields}), CATALOGUE)


def refused(**fields: Any) -> InvalidArgument:
    with pytest.raises(InvalidArgument) as caught:
        read(**fields)
    return caught.value


def speaking(*, can_speak: bool) -> Catalogue:
    """The catalogue with a model that can, or cannot, speak."""
    entry = CATALOGUE.models["REFERENCE"].model_copy(update={"speech": can_speak})
    return CATALOGUE.model_copy(update={"models": {"REFERENCE": entry}})


def narrow() -> Catalogue:
    """The catalogue with a model that draws short, silent, wide clips."""
    native = CATALOGUE.models["REFERENCE"].native.model_copy(update={"sizes": {"16:9": (64, 32)}, "max_duration_s": 8})
    entry = CATALOGUE.models["REFERENCE"].model_copy(update={"native": native, "audio": None})
    return CATALOGUE.model_copy(update={"models": {"REFERENCE": entry}})


@pytest.mark.parametrize(
    ("fields", "field", "text"),
    [
        ({"duration_seconds": 8.01}, "duration_seconds", "must be between 5 and 8"),
        ({"aspect_ratio": "9:16"}, "aspect_ratio", "must be one of 16:9"),
        ({"enable_audio": True}, "enable_audio", "the model makes no sound"),
    ],
)
def test_what_the_model_cannot_draw_is_refused_with_what_it_can(fields: dict[str, Any], field: str, text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        read_spec(pb.CreateVideoRequest(prompt="a lake", **fields), narrow())
    assert [(violation.field, violation.description) for violation in caught.value.violations] == [(field, text)]


def test_defaults_are_the_source_s_and_the_catalogue_s() -> None:
    spec = read()
    assert (spec.resolution, spec.aspect_ratio, spec.fps, spec.tier) == ("1080P", "16:9", 24, "STANDARD")
    assert (spec.model, spec.steps, spec.priority, spec.seed) == ("REFERENCE", 50, 100, None)
    assert spec.duration_seconds == 5
    assert spec.audio_config == {}


def test_every_wrong_field_is_named_at_once() -> None:
    error = refused(prompt=" ", duration_seconds=4.99, fps=25, resolution="2k", aspect_ratio="2:1", seed=-1,
                    priority=-1,                    num_inference_steps=3, guidance_scale=float("nan"))  # fmt: skip
    assert {violation.field for violation in error.violations} == {
        "prompt", "duration_seconds", "fps", "resolution", "aspect_ratio", "seed", "priority", "num_inference_steps",
        "guidance_scale",
    }  # fmt: skip
    assert error.reason == "INVALID_FIELD"


@pytest.mark.parametrize(
    "fields",
    [
        {"duration_seconds": 5.0}, {"duration_seconds": 60.0}, {"num_inference_steps": 4},
        {"num_inference_steps": 100}, {"guidance_scale": 1.0}, {"guidance_scale": 20.0}, {"seed": 2**63 - 1},
        {"seed": 0}, {"priority": 0}, {"priority": 1000}, {"resolution": "4k"}, {"resolution": "480P"}, {"fps": 60},
    ],
)  # fmt: skip
def test_bounds_are_inclusive(fields: dict[str, Any]) -> None:
    assert read(**fields)


@pytest.mark.parametrize(
    "fields",
    [{"duration_seconds": 0.0}, {"duration_seconds": 60.01}, {"duration_seconds": float("inf")}, {"fps": 0},
     {"guidance_scale": 0.99}, {"guidance_scale": 20.01}, {"num_inference_steps": 101}, {"priority": 1001}],
)  # fmt: skip
def test_beyond_them_is_refused(fields: dict[str, Any]) -> None:
    assert [violation.field for violation in refused(**fields).violations] == list(fields)


def test_prompts_are_counted_in_code_points_after_nfc() -> None:
    assert len(read(prompt="e\u0301" * 2000).prompt) == 2000
    assert read(prompt="👩‍👩‍👧‍👦" * 285)
    assert refused(prompt="é" * 2001).violations[0].field == "prompt"


def test_nul_is_refused() -> None:
    assert refused(prompt="a\0b").violations[0].field == "prompt"


@pytest.mark.parametrize(
    ("fields", "model", "tier"),
    [
        ({"model": "realtime"}, "REFERENCE", "REALTIME"),
        ({"model": "CINEMA"}, "REFERENCE", "CINEMA"),
        ({"model": "reference"}, "REFERENCE", "STANDARD"),
        ({"model": "reference", "tier": "cinema"}, "REFERENCE", "CINEMA"),
        ({"model": "cinema", "tier": "cinema"}, "REFERENCE", "CINEMA"),
        ({"tier": "realtime", "model": "realtime"}, "REFERENCE", "REALTIME"),
    ],
)
def test_model_names_a_tier_or_a_model(fields: dict[str, str], model: str, tier: str) -> None:
    spec = read(**fields)
    assert (spec.model, spec.tier) == (model, tier)


def test_a_tier_alone_is_one_of_the_default_model() -> None:
    assert read(tier="cinema").tier == "CINEMA"


def test_a_model_that_is_not_deployed_lists_those_that_are() -> None:
    error = refused(model="mochi1")
    assert (error.reason, error.metadata["deployed"]) == ("MODEL_NOT_DEPLOYED", "REFERENCE")
    assert "REFERENCE" in error.message


def test_a_contradicting_tier_is_refused() -> None:
    assert refused(model="cinema", tier="realtime").violations[0].field == "tier"
    assert [violation.field for violation in refused(tier="fastest").violations] == ["tier"]


def blind() -> Catalogue:
    """The catalogue whose default model takes neither pictures nor videos, beside one that takes pictures."""
    entry = CATALOGUE.models["REFERENCE"]
    none = entry.model_copy(update={"first_frame": False, "reference_video": False})
    pictures = entry.model_copy(update={"reference_video": False})
    return CATALOGUE.model_copy(update={"models": {"REFERENCE": none, "WAN": pictures}})


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"first_frame_image": PICTURE}, "the model does not take one; of the deployed ones WAN do"),
        ({"reference_video": REFERENCE}, "the model does not take one; nor does any other deployed one"),
    ],
)
def test_what_the_model_does_not_take_names_those_that_do(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        read_spec(pb.CreateVideoRequest(prompt="a lake", **fields), blind())
    assert (caught.value.reason, caught.value.violations[0].description) == ("UNSUPPORTED_FIELD", text)


def test_a_picture_and_a_video_to_begin_with() -> None:
    spec = read(first_frame_image=PICTURE, reference_video=REFERENCE, reference_strength=0.25)
    assert (spec.first_frame, spec.reference_video, spec.reference_strength) == (PICTURE, REFERENCE, Decimal("0.25"))
    assert read(reference_video=REFERENCE).reference_strength == Decimal("0.70")
    assert read().reference_strength is None


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"first_frame_image": b"x"}, "first_frame_image", "INVALID_FIELD"),
        ({"reference_video": "ftp://a.example/v"}, "reference_video", "REFERENCE_VIDEO_REFUSED"),
        ({"reference_video": "https://a@b.example/v"}, "reference_video", "REFERENCE_VIDEO_REFUSED"),
        ({"reference_video": "https://a.example:22/v"}, "reference_video", "REFERENCE_VIDEO_REFUSED"),
        ({"reference_strength": 0.5}, "reference_strength", "INVALID_FIELD"),
        ({"reference_video": REFERENCE, "reference_strength": 0.0}, "reference_strength", "INVALID_FIELD"),
        ({"reference_video": REFERENCE, "reference_strength": 1.01}, "reference_strength", "INVALID_FIELD"),
        ({"style_preset": "noir"}, "style_preset", "INVALID_FIELD"),
        ({"negative_prompt": "fog", "model": "realtime"}, "negative_prompt", "UNSUPPORTED_FIELD"),
        ({"negative_prompt": "fog", "guidance_scale": 1.0}, "negative_prompt", "UNSUPPORTED_FIELD"),
    ],
)
def test_what_is_wrong_or_without_effect_is_refused(fields: dict[str, Any], field: str, reason: str) -> None:
    error = refused(**fields)
    assert ([violation.field for violation in error.violations], error.reason) == ([field], reason)


def test_a_style_puts_the_prompt_into_its_words() -> None:
    spec = read(prompt="a lake", negative_prompt="fog", style_preset="anime")
    assert (spec.prompt, spec.negative_prompt) == ("a lake", "fog")
    assert spec.styled_prompt.startswith("anime of a lake, ")
    assert spec.styled_negative_prompt.startswith("fog, photograph, ")
    assert (read(style_preset="night").styled_prompt, read(style_preset="night").styled_negative_prompt) == (
        "a lake at night",
        "",
    )
    assert read().styled_prompt == "a lake"


def test_guidance_gives_a_negative_prompt_its_effect() -> None:
    assert read(negative_prompt="fog", model="realtime", guidance_scale=2.0).negative_prompt == "fog"
    assert read(negative_prompt=" ", model="realtime")


def test_sound_is_ambience_unless_said_otherwise() -> None:
    assert read(enable_audio=True).audio_config == {
        "include_ambient": True,
        "include_music": False,
        "include_speech": False,
    }
    music = read(enable_audio=True, audio_config=pb.AudioOptions(include_ambient=False, include_music=True))
    assert (music.audio_config["include_ambient"], music.audio_config["include_music"]) == (False, True)


def test_sound_that_cannot_be_is_refused() -> None:
    assert refused(audio_config=pb.AudioOptions(include_music=True)).violations[0].field == "audio_config"


def test_speech_is_for_models_that_can_speak() -> None:
    request = pb.CreateVideoRequest(
        prompt='a man says "hello"', enable_audio=True, audio_config=pb.AudioOptions(include_speech=True)
    )
    assert read_spec(request, speaking(can_speak=True)).audio_config["include_speech"]
    with pytest.raises(InvalidArgument) as caught:
        read_spec(request, speaking(can_speak=False))
    assert caught.value.reason == "UNSUPPORTED_FIELD"
    assert caught.value.violations[0].field == "audio_config.include_speech"


@pytest.mark.parametrize(
    "url",
    ["ftp://a.example/", "https://", "a.example", "https://u:p@a.example/", "https://a.example:99999/",
     "https://a.example:25/", "https://a.example:1023/",
     "https://a.example/" + "x" * 2048, "https://a.example/\r\nX: y", "https://[::1", "https://ä.example/"],
)  # fmt: skip
def test_webhook_urls_must_be_plain_urls(url: str) -> None:
    error = refused(webhook_url=url)
    assert (error.reason, error.violations[0].field) == ("WEBHOOK_URL_REFUSED", "webhook_url")


@pytest.mark.parametrize("port", [80, 443, 1024, 8443])
def test_webhooks_may_have_the_web_s_ports_and_free_ones(port: int) -> None:
    assert read(webhook_url=f"https://a.example:{port}/").webhook_url


def test_webhook_secrets_are_of_the_standard_s_form() -> None:
    assert read(webhook_url="https://a.example/", webhook_secret=SECRET).webhook_secret == SECRET
    for secret in ("whsec_", "whsec_abc", SECRET.removeprefix("whsec_"), "whsec_%%%"):
        error = refused(webhook_url="https://a.example/", webhook_secret=secret)
        assert error.violations[0].field == "webhook_secret"
    assert refused(webhook_secret=SECRET).violations[0].field == "webhook_secret"


@given(st.text(max_size=50), st.text(max_size=20), st.text(max_size=20), st.text(max_size=60), st.floats())
def test_any_request_is_accepted_or_refused(prompt: str, model: str, ratio: str, url: str, seconds: float) -> None:
    if any("\ud800" <= character <= "\udfff" for character in prompt + model + ratio + url):
        return
    try:
        spec = read(prompt=prompt, model=model, aspect_ratio=ratio, webhook_url=url, duration_seconds=seconds)
    except InvalidArgument as exc:
        assert exc.violations
    else:
        assert 5 <= spec.duration_seconds <= 60
