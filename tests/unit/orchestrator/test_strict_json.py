"""JSON bodies."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinemesh.video.v1 import video_service_pb2 as pb
from services.common.errors import InvalidArgument
from services.orchestrator.convert.strict_json import parse


def read(body: bytes) -> pb.CreateVideoRequest:
    return parse(body, pb.CreateVideoRequest)


def refused(body: bytes) -> InvalidArgument:
    with pytest.raises(InvalidArgument) as caught:
        read(body)
    return caught.value


def test_a_body_is_read() -> None:
    request = read(
        b'{"prompt": "\\u00e9 \\ud83d\\ude00", "fps": 24.0, "duration_seconds": 10, "seed": 9223372036854775807,'
        b' "enable_audio": true, "audio_config": {"include_music": false}, "first_frame_image": "AAEC", "tier": null}'
    )
    assert (request.prompt, request.fps, request.duration_seconds, request.seed) == ("é 😀", 24, 10.0, 2**63 - 1)
    assert request.first_frame_image == b"\x00\x01\x02"
    assert request.audio_config.HasField("include_music")
    assert not request.audio_config.HasField("include_ambient")


def test_an_empty_object_is_present() -> None:
    assert read(b'{"audio_config": {}}').HasField("audio_config")


def test_absent_is_not_zero() -> None:
    assert not read(b'{"fps": null}').HasField("fps")
    assert read(b'{"fps": 0}').HasField("fps")


def test_sixty_four_bit_integers_may_be_strings_and_nothing_else_may() -> None:
    assert read(b'{"seed": "42"}').seed == 42
    assert refused(b'{"fps": "24", "duration_seconds": "5", "enable_audio": "true"}').reason == "INVALID_FIELD"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b'"a"', b"{", b'{"prompt": "a",}', b'{"prompt": "a"} {}', b"{'prompt': 'a'}",
        b'{"prompt": "a" /* why */}', b'{"prompt": "a", "prompt": "b"}', b'{"audio_config": {"include_music": true, '
        b'"include_music": false}}', b'{"guidance_scale": NaN}', b'{"guidance_scale": -Infinity}',
        b"\xef\xbb\xbf{}", '{"prompt": "a"}'.encode("utf-16"), b'{"prompt": "\xff"}', b'{"prompt": "\xc0\x80"}',
        b'{"prompt": "\xed\xa0\x80"}', b'{"a":' * 5000, b"[" * 100_000, b'{"seed": ' + b"9" * 5000 + b"}",
        b'{"prompt": "a\nb"}',
    ],
)  # fmt: skip
def test_what_is_not_json_is_refused(body: bytes) -> None:
    assert refused(body).reason == "MALFORMED_JSON"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"prompt": 5}', "prompt"),
        (b'{"prompt": "a\\u0000b"}', "prompt"),
        (b'{"prompt": "\\ud800"}', "prompt"),
        (b'{"fps": 24.5}', "fps"),
        (b'{"fps": true}', "fps"),
        (b'{"fps": 1e309}', "fps"),
        (b'{"fps": 99999999999}', "fps"),
        (b'{"seed": 9223372036854775808}', "seed"),
        (b'{"seed": 1e30}', "seed"),
        (b'{"guidance_scale": 1e309}', "guidance_scale"),
        (b'{"guidance_scale": 1' + b"0" * 400 + b"}", "guidance_scale"),
        (b'{"enable_audio": 1}', "enable_audio"),
        (b'{"audio_config": []}', "audio_config"),
        (b'{"audio_config": {"include_music": "yes"}}', "audio_config.include_music"),
        (b'{"first_frame_image": "%"}', "first_frame_image"),
    ],
)
def test_a_value_of_the_wrong_kind_names_its_field(body: bytes, field: str) -> None:
    assert [violation.field for violation in refused(body).violations] == [field]


def test_unknown_fields_are_named_with_their_path() -> None:
    error = refused(b'{"promt": "a", "durationSeconds": 5, "audio_config": {"loud": true}, "\\ud800": 1}')
    assert error.reason == "UNKNOWN_FIELD"
    assert [violation.field for violation in error.violations] == [
        "promt", "durationSeconds", "audio_config.loud", "\\ud800",
    ]  # fmt: skip


@pytest.mark.parametrize("pattern", [b'\\"', b'"', b'"\\"', b"{}", b'{"a":"'])
def test_hostile_bodies_are_refused_in_linear_time(pattern: bytes) -> None:
    started = time.monotonic()
    refused(pattern * (1_000_000 // len(pattern)))
    assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    "values", [",".join(f'"k{i}":1' for i in range(100_000)) + ',"k99999":1', '"tier":[' + "1," * 5000]
)
def test_a_body_of_very_many_values_is_refused_by_its_structure(values: str) -> None:
    assert refused(b"{%s}" % values.encode()).message == "the body holds too many values"


def test_a_key_that_occurs_twice_is_named() -> None:
    names = [f"k{i}" for i in range(1000)]
    error = refused(b"{%s}" % ",".join(f'"{name}":1' for name in [*names, "k999"]).encode())
    assert (error.reason, error.metadata["key"]) == ("MALFORMED_JSON", "k999")


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    try:
        read(body)
    except InvalidArgument as exc:
        assert exc.http_code == 400
