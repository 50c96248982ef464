"""The public contracts with their comments, as protoc reads them."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from google.api import annotations_pb2
from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

from gateway.envoy.descriptors import PUBLIC_SERVICES

PROTOS = Path(__file__).parents[2] / "protos"
_REASON_PREFIX = "ERROR_REASON_"
# Where in a file descriptor the kinds of things are: the field numbers of FileDescriptorProto and its parts.
_MESSAGES, _ENUMS, _SERVICES, _FIELDS, _METHODS, _VALUES = 4, 5, 6, 2, 2, 2


@dataclass(frozen=True)
class Method:
    """A method with its service and comment."""

    service: str
    proto: MethodDescriptorProto
    comment: str

    @property
    def rule(self) -> HttpRule | None:
        """How it is called by REST; None when it is not."""
        options, http = self.proto.options, cast("Any", annotations_pb2.http)
        return options.Extensions[http] if options.HasExtension(http) else None


@dataclass
class Contracts:
    """Everything by its full name."""

    messages: dict[str, DescriptorProto] = field(default_factory=dict)
    enums: dict[str, EnumDescriptorProto] = field(default_factory=dict)
    methods: list[Method] = field(default_factory=list)
    comments: dict[str, str] = field(default_factory=dict)

    @cached_property
    def reasons(self) -> dict[str, int]:
        """The HTTP status of each error reason, as the comment of its enum value says."""
        enum = self.enums["kinemesh.common.v1.ErrorReason"]
        found = ((value.name, self.comments[f"kinemesh.common.v1.{value.name}"]) for value in enum.value)
        codes = ((name.removeprefix(_REASON_PREFIX), re.search(r"HTTP (\d{3})", text)) for name, text in found)
        return {name: int(code[1]) for name, code in codes if code}


def load_contracts() -> Contracts:
    """Runs protoc over the contracts."""
    contracts = Contracts()
    for file in _compiled().file:
        if file.package.startswith("kinemesh."):
            _add(contracts, file)
    return contracts


def _compiled() -> FileDescriptorSet:
    sources = sorted(str(path.relative_to(PROTOS)) for path in (PROTOS / "kinemesh").rglob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "all.binpb")
        flags = ["-Ivendor", "-I.", "--include_source_info", "--include_imports", f"--descriptor_set_out={target}"]
        command = [sys.executable, "-m", "grpc_tools.protoc", *flags, *sources]
        subprocess.run(command, cwd=PROTOS, check=True)  # noqa: S603 - protoc on our own files
        return FileDescriptorSet.FromString(target.read_bytes())


def _add(contracts: Contracts, file: FileDescriptorProto) -> None:
    comments = {tuple(at.path): _unwrapped(at.leading_comments) for at in file.source_code_info.location}
    for index, message in enumerate(file.message_type):
        name = f"{file.package}.{message.name}"
        contracts.messages[name] = message
        contracts.comments[name] = comments.get((_MESSAGES, index), "")
        for number, member in enumerate(message.field):
            contracts.comments[f"{name}.{member.name}"] = comments.get((_MESSAGES, index, _FIELDS, number), "")
    for index, enum in enumerate(file.enum_type):
        contracts.enums[f"{file.package}.{enum.name}"] = enum
        for number, value in enumerate(enum.value):
            contracts.comments[f"{file.package}.{value.name}"] = comments.get((_ENUMS, index, _VALUES, number), "")
    for index, service in enumerate(file.service):
        if f"{file.package}.{service.name}" in PUBLIC_SERVICES:
            contracts.methods.extend(_methods(service, index, comments))


def _methods(service: ServiceDescriptorProto, index: int, comments: dict[tuple[int, ...], str]) -> Iterator[Method]:
    for number, method in enumerate(service.method):
        yield Method(service.name, method, comments.get((_SERVICES, index, _METHODS, number), ""))


def _unwrapped(comment: str) -> str:
    return " ".join(comment.split())
