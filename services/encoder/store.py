"""The cache's index in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

from services.common.postgres import Pool
from services.common.storage import ListedObject, ObjectRef
from services.encoder.domain import PREFIX, Embedding

_COLUMNS = "content_hash, model, encoder_revision, uri, sha256, token_count, dim"
_FIND = f"SELECT {_COLUMNS} FROM prompt_embeddings WHERE content_hash = $1"  # noqa: S608 - constants only
# The newest wins: an entry is written again only when its object was lost.
_PUT = f"""
    INSERT INTO prompt_embeddings ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (content_hash) DO UPDATE
    SET uri = EXCLUDED.uri, sha256 = EXCLUDED.sha256, token_count = EXCLUDED.token_count, dim = EXCLUDED.dim
"""  # noqa: S608 - constants only
_KNOWN = "SELECT uri FROM prompt_embeddings WHERE uri = ANY($1)"
_COUNT = "SELECT count(*) FROM prompt_embeddings"


class EmbeddingIndex:
    """Which prompts have been encoded."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(self, content_hash: str) -> Embedding | None:
        """Returns the entry of a content."""
        row = await self._pool.fetchrow(_FIND, content_hash)
        return None if row is None else Embedding(**dict(row))

    async def put(self, embedding: Embedding) -> None:
        """Adds an entry or renews it."""
        await self._pool.execute(
            _PUT,
            embedding.content_hash,
            embedding.model,
            embedding.encoder_revision,
            embedding.uri,
            embedding.sha256,
            embedding.token_count,
            embedding.dim,
        )

    async def find_orphans(self, found: Sequence[ListedObject]) -> list[ObjectRef]:
        """Returns the objects that no entry points at."""
        since = await self._pool.fetchval("SELECT min(created_at) FROM prompt_embeddings")
        refs = [stored.ref for stored in found if since is not None and stored.modified_at > since]
        known = {row["uri"] for row in await self._pool.fetch(_KNOWN, [ref.uri for ref in refs])}
        return [ref for ref in refs if ref.uri not in known and ref.key.startswith(PREFIX)]

    async def count(self) -> int:
        """Counts the entries."""
        return int(await self._pool.fetchval(_COUNT))
