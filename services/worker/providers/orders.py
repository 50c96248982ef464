"""What a job orders at a provider, and what it has ordered already."""

from __future__ import annotations

import io

from PIL import Image, ImageOps

from kinemesh.orchestrator.v1 import job_service_pb2
from services.common.catalogue import Catalogue, ProviderModel
from services.common.storage import ObjectRef, ObjectStore
from services.worker.providers.protocol import Order
from services.worker.threads import in_thread
from services.worker.work import Work, model_name


class Orders:
    """Makes orders."""

    def __init__(self, catalogue: Catalogue, objects: ObjectStore) -> None:
        self._catalogue = catalogue
        self._objects = objects

    async def make(self, work: Work, entry: ProviderModel) -> Order:
        """The order for a job's video, at the size and the length that the catalogue says.

        Of a style that steers away from something, a model that cannot do that takes only the rest.

        Raises:
            NotFound, DataLoss: the first frame is gone, or damaged.
        """
        given, config = work.job.request.prompt_config, work.config
        styled = self._catalogue.styled(given.style_preset, given.text_prompt, given.negative_prompt)
        size = entry.native.sizes[config.aspect_ratio]  # type: ignore[index] # as accepted
        return Order(
            model=entry.provider_model,
            prompt=styled[0],
            negative_prompt=styled[1] if entry.negative_prompt else "",
            seed=config.seed,
            width=size[0],
            height=size[1],
            aspect_ratio=config.aspect_ratio,
            length_s=made_length_s(entry, config.duration_seconds),
            sound=config.enable_audio,
            first_frame=await self._first_frame(work, size),
            key=_key(work.job),
        )

    async def _first_frame(self, work: Work, size: tuple[int, int]) -> bytes | None:
        if not work.job.artifacts.HasField("first_frame"):
            return None
        stored = work.job.artifacts.first_frame
        picture = await self._objects.get_bytes(ObjectRef.parse(stored.uri), sha256=stored.sha256)
        return await in_thread(_fit, picture, size)


def _fit(picture: bytes, size: tuple[int, int]) -> bytes:
    """Scales a PNG to fill a size, and crops what is over, centred: as our own models see it."""
    fitted = io.BytesIO()
    with Image.open(io.BytesIO(picture), formats=["PNG"]) as image:
        ImageOps.fit(image.convert("RGB"), size, Image.Resampling.LANCZOS).save(fitted, "PNG")
    return fitted.getvalue()


def made_length_s(entry: ProviderModel, wanted_s: float) -> float:
    """The shortest length that the provider makes and that is long enough; it is cut when it is decoded."""
    return next((length_s for length_s in entry.native.lengths_s if length_s >= wanted_s), wanted_s)


def current_operation(job: job_service_pb2.Job) -> str | None:
    """The operation an earlier attempt began, unless it came to nothing or was for another model."""
    mine = [operation for operation in job.artifacts.operations if operation.model == model_name(job)]
    return mine[-1].operation_id if mine and not mine[-1].failed else None


def _key(job: job_service_pb2.Job) -> str:
    """Names the next operation: the same until one is committed, whoever has the job."""
    return f"{job.request.request_id}-{len(job.artifacts.operations)}"
