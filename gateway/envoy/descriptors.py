"""The descriptor set that Envoy transcodes by, built from the generated modules so that it cannot drift from them."""

from __future__ import annotations

from typing import Any

from google.api import annotations_pb2
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FileDescriptor
from google.rpc import error_details_pb2, status_pb2

from kinemesh.billing.v1 import billing_service_pb2
from kinemesh.scheduler.v1 import scheduler_service_pb2
from kinemesh.video.v1 import video_service_pb2, webhook_service_pb2

# Error details are in the set so that the transcoder can print the status of a service that sends no JSON of its own.
ROOTS = (
    video_service_pb2,
    webhook_service_pb2,
    scheduler_service_pb2,
    billing_service_pb2,
    error_details_pb2,
    status_pb2,
)
PUBLIC_SERVICES = (
    "kinemesh.video.v1.VideoService",
    "kinemesh.video.v1.WebhookService",
    "kinemesh.scheduler.v1.WorkerService",
    "kinemesh.billing.v1.AccountService",
)


def descriptor_set() -> bytes:
    """A serialised FileDescriptorSet of the public services and everything they import, dependencies first."""
    files: dict[str, descriptor_pb2.FileDescriptorProto] = {}
    for module in ROOTS:
        _collect(module.DESCRIPTOR, files)
    return descriptor_pb2.FileDescriptorSet(file=files.values()).SerializeToString()


def rest_methods() -> dict[str, set[str]]:
    """The HTTP methods of each REST path, e.g. {"/v1/videos/{request_id}": {"GET", "DELETE"}}."""
    http: Any = annotations_pb2.http
    found: dict[str, set[str]] = {}
    for service in (service for module in ROOTS for service in module.DESCRIPTOR.services_by_name.values()):
        for method in service.methods:
            rule = method.GetOptions().Extensions[http]
            verb = rule.WhichOneof("pattern")
            if verb is not None and service.full_name in PUBLIC_SERVICES:
                found.setdefault(getattr(rule, verb), set()).add(verb.upper())
    return found


def _collect(file: FileDescriptor, files: dict[str, descriptor_pb2.FileDescriptorProto]) -> None:
    if file.name in files:
        return
    for dependency in file.dependencies:
        _collect(dependency, files)
    proto = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(proto)
    files[file.name] = proto
