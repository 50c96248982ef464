"""Keys of the worker's objects: job, epoch and content, so that a stale worker's object never takes another's place."""

from __future__ import annotations

from services.common.settings import S3Settings
from services.common.storage import ObjectRef

_DIGITS = 12


def checkpoint(settings: S3Settings, request_id: str, epoch: int, step: int, sha256: str) -> ObjectRef:
    """Where a checkpoint is stored; see `manifest_of` for its manifest."""
    key = f"{request_id}/{epoch}/step-{step:04d}-{sha256[:_DIGITS]}.safetensors"
    return ObjectRef(settings.s3_bucket_checkpoints, key)


def manifest_of(tensors: ObjectRef) -> ObjectRef:
    """Where the manifest of a checkpoint is stored."""
    return ObjectRef(tensors.bucket, tensors.key.removesuffix(".safetensors") + ".json")


def latents(settings: S3Settings, request_id: str, epoch: int, sha256: str) -> ObjectRef:
    """Where final latents are stored."""
    return ObjectRef(settings.s3_bucket_checkpoints, f"{request_id}/{epoch}/latents-{sha256[:_DIGITS]}.safetensors")


def mezzanine(settings: S3Settings, request_id: str, epoch: int, sha256: str) -> ObjectRef:
    """Where the lossless video is stored."""
    return ObjectRef(settings.s3_bucket_mezzanine, f"{request_id}/{epoch}/video-{sha256[:_DIGITS]}.mkv")


def sound(settings: S3Settings, request_id: str, epoch: int, sha256: str) -> ObjectRef:
    """Where the sound is stored."""
    return ObjectRef(settings.s3_bucket_mezzanine, f"{request_id}/{epoch}/sound-{sha256[:_DIGITS]}.wav")


def record_of(sound: ObjectRef) -> ObjectRef:
    """Where the record of a sound is stored."""
    return ObjectRef(sound.bucket, sound.key.removesuffix(".wav") + ".json")
