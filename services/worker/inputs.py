"""Inputs of a job, from the object store into the scratch directory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from kinemesh.orchestrator.v1 import job_service_pb2
from services.common.errors import DataLoss, NotFound
from services.common.mezzanine import read_frames
from services.common.storage import ObjectRef, ObjectStore
from services.worker.threads import in_thread
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


async def fetch_media(objects: ObjectStore, work: Work) -> None:
    """Brings the job's first frame and reference here, as far as there are any, in the form that models read.

    Raises:
        NotFound: one is gone.
        DataLoss: one is damaged.
    """
    artifacts = work.job.artifacts
    if artifacts.HasField("first_frame") and not work.files.first_frame.exists():
        frames = await _fetch_frames(objects, artifacts.first_frame, work.files.directory / "given.png")
        await in_thread(save_file, {"picture": frames[0]}, work.files.first_frame)
    if artifacts.HasField("reference_video") and not work.files.reference.exists():
        frames = await _fetch_frames(objects, artifacts.reference_video, work.files.directory / "given.mkv")
        await in_thread(save_file, {"frames": frames}, work.files.reference)


async def _fetch_frames(objects: ObjectStore, stored: job_service_pb2.Artifact, file: Path) -> NDArray[np.uint8]:
    await objects.get_file(ObjectRef.parse(stored.uri), file, sha256=stored.sha256)
    frames = await in_thread(read_frames, file)
    file.unlink()  # noqa: ASYNC240 - a local file that is in memory still
    return frames


async def fetch_latents(objects: ObjectStore, work: Work) -> None:
    """Brings the job's final latents here, unless they were made here; raises as `fetch_embeddings`."""
    if work.files.latents.exists():
        return
    latents = work.job.artifacts.latents
    await objects.get_file(ObjectRef.parse(latents.uri), work.files.latents, sha256=latents.sha256)
