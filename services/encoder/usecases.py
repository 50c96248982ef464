"""Encodes prompts, each content once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from prometheus_client import Counter

from services.common.errors import InvalidArgument
from services.common.storage import ObjectRef, StoredObject
from services.encoder.domain import PREFIX, CacheStats, Embedding, Prompt

if TYPE_CHECKING:
    from services.encoder.models import Encoded

CACHE = Counter("kinemesh_prompt_cache_total", "Prompts by whether they were in the cache.", ["result"])


class Model(Protocol):
    """A text encoder."""

    revision: str

    def encode(self, text: str, negative: str) -> Encoded:
        """Encodes a prompt; blocks."""


class Index(Protocol):
    """Which prompts have been encoded."""

    async def find(self, content_hash: str) -> Embedding | None:
        """Returns the entry of a content."""

    async def put(self, embedding: Embedding) -> None:
        """Adds an entry or renews it."""

    async def count(self) -> int:
        """Counts the entries."""


class Objects(Protocol):
    """Where the tensors are."""

    async def head(self, ref: ObjectRef) -> StoredObject | None:
        """Describes an object; None when there is none."""

    async def put_bytes(self, ref: ObjectRef, data: bytes) -> StoredObject:
        """Stores an object."""


class EncodePrompt:
    """The cache before the models."""

    def __init__(self, models: Mapping[str, Model], index: Index, objects: Objects, bucket: str) -> None:
        self._models = models
        self._index = index
        self._objects = objects
        self._bucket = bucket
        self._hits = self._misses = 0
        # One at a time: two would only share the same threads.
        self._turn = asyncio.Lock()

    async def __call__(self, prompt: Prompt) -> tuple[Embedding, bool]:
        """Returns the stored embeddings, and whether they were there before.

        Raises:
            InvalidArgument: The model is not deployed (MODEL_NOT_DEPLOYED).
        """
        model = self._models.get(prompt.model)
        if model is None:
            deployed = ", ".join(sorted(self._models))
            message = f"this installation runs {deployed}"
            raise InvalidArgument("MODEL_NOT_DEPLOYED", message, deployed=deployed)
        found = await self._find(prompt.content_hash(model.revision))
        if found is not None:
            self._hits += 1
            CACHE.labels("hit").inc()
            return found, True
        self._misses += 1
        CACHE.labels("miss").inc()
        return await self._encode(prompt, model), False

    async def stats(self) -> CacheStats:
        """Tells how the cache does."""
        return CacheStats(self._hits, self._misses, await self._index.count())

    async def _find(self, content_hash: str) -> Embedding | None:
        """An entry counts only while its object is there."""
        entry = await self._index.find(content_hash)
        if entry is None:
            return None
        stored = await self._objects.head(ObjectRef.parse(entry.uri))
        return entry if stored is not None and stored.sha256 == entry.sha256 else None

    async def _encode(self, prompt: Prompt, model: Model) -> Embedding:
        async with self._turn:
            encoded = await asyncio.to_thread(model.encode, prompt.text, prompt.negative)
        content_hash = prompt.content_hash(model.revision)
        ref = ObjectRef(self._bucket, f"{PREFIX}{content_hash}.safetensors")
        stored = await self._objects.put_bytes(ref, encoded.blob)
        embedding = Embedding(
            content_hash=content_hash,
            model=prompt.model,
            encoder_revision=model.revision,
            uri=ref.uri,
            sha256=stored.sha256,
            token_count=encoded.token_count,
            dim=encoded.dim,
        )
        await self._index.put(embedding)
        return embedding
