"""The cache before the models."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import pytest

from kinemesh.encoder.v1 import encoder_service_pb2 as pb
from kinemesh.orchestrator.v1 import job_service_pb2
from kinemesh.video.v1 import video_pb2
from services.common.catalogue import load_catalogue
from services.common.errors import InvalidArgument
from services.common.storage import ObjectRef, StoredObject
from services.encoder import convert
from services.encoder.domain import CacheStats, Embedding, Prompt
from services.encoder.models import Encoded
from services.encoder.usecases import EncodePrompt
from tests.support.catalogue import SHIPPED

CATALOGUE = load_catalogue(SHIPPED)


@dataclass
class FakeModel:
    """Counts what it encodes."""

    revision: str = "r1"
    encoded: list[str] = field(default_factory=list)

    def encode(self, text: str, negative: str) -> Encoded:
        self.encoded.append(text)
        return Encoded(f"{self.revision} {text} {negative}".encode(), token_count=len(text.split()), dim=96)


class MemoryIndex:
    """The index without a database."""

    def __init__(self) -> None:
        self.rows: dict[str, Embedding] = {}

    async def find(self, content_hash: str) -> Embedding | None:
        return self.rows.get(content_hash)

    async def put(self, embedding: Embedding) -> None:
        self.rows[embedding.content_hash] = embedding

    async def count(self) -> int:
        return len(self.rows)


class MemoryObjects:
    """The object store without a server."""

    def __init__(self) -> None:
        self.objects: dict[ObjectRef, bytes] = {}

    async def head(self, ref: ObjectRef) -> StoredObject | None:
        return self._describe(ref) if ref in self.objects else None

    async def put_bytes(self, ref: ObjectRef, data: bytes) -> StoredObject:
        self.objects[ref] = data
        return self._describe(ref)

    def _describe(self, ref: ObjectRef) -> StoredObject:
        data = self.objects[ref]
        return StoredObject(ref, len(data), hashlib.sha256(data).hexdigest())


@dataclass
class Cache:
    """The use case and all it stands on."""

    model: FakeModel = field(default_factory=FakeModel)
    index: MemoryIndex = field(default_factory=MemoryIndex)
    objects: MemoryObjects = field(default_factory=MemoryObjects)

    def encode_prompt(self) -> EncodePrompt:
        """As a process that has just started."""
        return EncodePrompt({"REFERENCE": self.model}, self.index, self.objects, "embeddings")


PROMPT = Prompt.of("a red ball", "", "REFERENCE")


async def test_a_prompt_is_encoded_once_for_all_processes() -> None:
    cache = Cache()
    first, cached = await cache.encode_prompt()(PROMPT)
    assert not cached
    other = cache.encode_prompt()
    assert await other(PROMPT) == (first, True)
    assert cache.model.encoded == ["a red ball"]
    assert await other.stats() == CacheStats(hits=1, misses=0, entries=1)


@pytest.mark.parametrize(
    "other",
    [Prompt.of("a red ball.", "", "REFERENCE"), Prompt.of("a red ball", "dark", "REFERENCE")],
)
async def test_another_prompt_is_another_entry(other: Prompt) -> None:
    cache = Cache()
    encode_prompt = cache.encode_prompt()
    first, _ = await encode_prompt(PROMPT)
    second, cached = await encode_prompt(other)
    assert not cached
    assert second.uri != first.uri


async def test_new_weights_make_new_entries() -> None:
    cache = Cache()
    await cache.encode_prompt()(PROMPT)
    cache.model = FakeModel("r2")
    _, cached = await cache.encode_prompt()(PROMPT)
    assert not cached
    assert len(cache.index.rows) == 2


async def test_a_lost_or_damaged_object_is_made_again() -> None:
    cache = Cache()
    encode_prompt = cache.encode_prompt()
    first, _ = await encode_prompt(PROMPT)
    cache.objects.objects.clear()
    assert await encode_prompt(PROMPT) == (first, False)
    cache.objects.objects[ObjectRef.parse(first.uri)] = b"damaged"
    assert await encode_prompt(PROMPT) == (first, False)
    assert await encode_prompt(PROMPT) == (first, True)


async def test_a_model_that_is_not_deployed_is_refused_with_those_that_are() -> None:
    with pytest.raises(InvalidArgument) as refusal:
        await Cache().encode_prompt()(Prompt.of("a red ball", "", "SORA"))
    assert refusal.value.reason == "MODEL_NOT_DEPLOYED"
    assert refusal.value.metadata == {"deployed": "REFERENCE"}


def test_equal_texts_are_one_prompt() -> None:
    assert Prompt.of("caf\u00e9", "", "M") == Prompt.of("cafe\u0301", "", "M")


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.EncodePromptRequest(text_prompt=" ", model=video_pb2.MODEL_REFERENCE), "text_prompt"),
        (pb.EncodePromptRequest(text_prompt="x" * 2501, model=video_pb2.MODEL_REFERENCE), "text_prompt"),
        (
            pb.EncodePromptRequest(text_prompt="x", negative_prompt="y" * 2501, model=video_pb2.MODEL_REFERENCE),
            "negative_prompt",
        ),
        (pb.EncodePromptRequest(text_prompt="x"), "model"),
    ],
)
def test_a_wrong_field_is_named(request_: pb.EncodePromptRequest, field: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        convert.to_prompt(request_)
    assert [violation.field for violation in refusal.value.violations] == [field]


def test_a_job_is_read_like_a_request() -> None:
    job = job_service_pb2.Job()
    job.request.prompt_config.text_prompt, job.request.prompt_config.negative_prompt = "a red ball", "dark"
    job.request.generation_config.model = video_pb2.MODEL_REFERENCE
    assert convert.to_prompt(convert.to_request(job, CATALOGUE)) == Prompt("a red ball", "dark", "REFERENCE")


def test_a_job_is_encoded_in_the_words_of_its_style() -> None:
    job = job_service_pb2.Job()
    job.request.prompt_config.text_prompt, job.request.prompt_config.style_preset = "a {prompt}", "night"
    assert convert.to_request(job, CATALOGUE).text_prompt == "a {prompt} at night"
    job.request.prompt_config.style_preset = "gone"
    with pytest.raises(InvalidArgument):
        convert.to_request(job, CATALOGUE)
