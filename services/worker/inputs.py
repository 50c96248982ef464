"""Inputs of a job, from the object store into the scratch directory."""

from __future__ import annotations

from services.common.errors import DataLoss, NotFound
from services.common.storage import ObjectRef, ObjectStore
from services.worker.work import Work

MAX_EMBEDDINGS_BYTES = 128 * 1024 * 1024
"""Twice what the largest need: LTX-2's two texts for picture and sound in float32. More is not embeddings."""


async def fetch_embeddings(objects: ObjectStore, work: Work) -> None:
    """Brings the prompt's embeddings here, unless they are; their sha256 is checked.

    Raises:
        NotFound: there are none.
        DataLoss: the object is damaged or far too large.
    """
    if work.files.embeddings.exists():
        return
    ref = ObjectRef.parse(work.job.artifacts.prompt_embedding_uri)
    found = await objects.head(ref)
    if found is None:
        raise NotFound("RESOURCE_NOT_FOUND", "the job's embeddings are gone")
    if found.size_bytes > MAX_EMBEDDINGS_BYTES:
        raise DataLoss("CHECKSUM_MISMATCH", "the job's embeddings are damaged")
    await objects.get_file(ref, work.files.embeddings)


async def fetch_latents(objects: ObjectStore, work: Work) -> None:
    """Brings the job's final latents here, unless they were made here; raises as `fetch_embeddings`."""
    if work.files.latents.exists():
        return
    latents = work.job.artifacts.latents
    await objects.get_file(ObjectRef.parse(latents.uri), work.files.latents, sha256=latents.sha256)
