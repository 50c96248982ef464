"""Messages as JSON schemas: as the transcoder prints them, and as the strict reader of requests takes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto

from gateway.openapi.constraints import CONSTRAINTS, REQUIRED
from gateway.openapi.contracts import Contracts

Schema = dict[str, Any]

_F = FieldDescriptorProto
_TIMESTAMP = ".google.protobuf.Timestamp"
_SCALARS: dict[int, Schema] = {
    _F.TYPE_BOOL: {"type": "boolean"},
    _F.TYPE_BYTES: {"type": "string", "format": "byte", "contentEncoding": "base64"},
    _F.TYPE_DOUBLE: {"type": "number", "format": "double"},
    _F.TYPE_FLOAT: {"type": "number", "format": "float"},
    _F.TYPE_INT32: {"type": "integer", "format": "int32"},
    # As proto3 JSON prints them: JavaScript's numbers could not hold them.
    _F.TYPE_INT64: {"type": "string", "format": "int64", "pattern": "^-?[0-9]{1,19}$"},
    _F.TYPE_STRING: {"type": "string"},
    _F.TYPE_UINT32: {"type": "integer", "format": "int64", "minimum": 0, "maximum": 2**32 - 1},
    _F.TYPE_UINT64: {"type": "string", "format": "uint64", "pattern": "^[0-9]{1,20}$"},
}


class Schemas:
    """Collects the schemas of messages under `#/components/schemas`, each once."""

    def __init__(self, contracts: Contracts) -> None:
        self.components: dict[str, Schema] = {}
        self._contracts = contracts

    def of_answer(self, name: str) -> Schema:
        """A message as it is answered: plain fields always, messages and `optional` fields when they are set."""
        return self._reference(name, strict=False)

    def of_request(self, name: str) -> Schema:
        """A message as it is asked: no other fields, and `null` for an absent one."""
        return self._reference(name, strict=True)

    def of_parameter(self, message: str, field: _F) -> Schema:
        """A field of a query or path."""
        return {**_SCALARS[field.type], **CONSTRAINTS.get(f"{message}.{field.name}", {})}

    def comment_of(self, name: str) -> str:
        """What the contract says of a message or field."""
        return self._contracts.comments.get(name, "")

    def _reference(self, name: str, *, strict: bool) -> Schema:
        full = name.lstrip(".")
        short = full.rpartition(".")[2] + ("Input" if strict and not full.endswith("Request") else "")
        if short not in self.components:
            self.components[short] = {}  # Messages may name each other.
            self.components[short] = self._object(full, self._contracts.messages[full], strict=strict)
        return {"$ref": f"#/components/schemas/{short}"}

    def _object(self, name: str, message: DescriptorProto, *, strict: bool) -> Schema:
        properties = {field.name: self._property(name, field, strict=strict) for field in message.field}
        required = REQUIRED.get(name, []) if strict else list(_always_printed(message))
        schema: Schema = {"type": "object", "description": self.comment_of(name), "properties": properties}
        if required:
            schema["required"] = required
        if strict:
            schema["additionalProperties"] = False
        return schema

    def _property(self, message: str, field: _F, *, strict: bool) -> Schema:
        name = f"{message}.{field.name}"
        schema = {**self._type(field, strict=strict), **CONSTRAINTS.get(name, {})}
        if field.label == _F.LABEL_REPEATED:
            schema = {"type": "array", "items": schema}
        nullable = strict and field.name not in REQUIRED.get(message, [])
        return {**(_or_null(schema) if nullable else schema), "description": self.comment_of(name)}

    def _type(self, field: _F, *, strict: bool) -> Schema:
        if field.type == _F.TYPE_MESSAGE:
            if field.type_name == _TIMESTAMP:
                return {"type": "string", "format": "date-time"}
            return self._reference(field.type_name, strict=strict)
        if field.type == _F.TYPE_ENUM:
            values = self._contracts.enums[field.type_name.lstrip(".")].value
            return {"type": "string", "enum": [value.name for value in values]}
        if strict and field.type in (_F.TYPE_INT64, _F.TYPE_UINT64):
            return {"type": "integer", "format": "int64"}
        return dict(_SCALARS[field.type])


def _always_printed(message: DescriptorProto) -> Iterator[str]:
    for field in message.field:
        is_absent_message = field.type == _F.TYPE_MESSAGE and field.label != _F.LABEL_REPEATED
        if not (field.proto3_optional or field.HasField("oneof_index") or is_absent_message):
            yield field.name


def _or_null(schema: Schema) -> Schema:
    if "$ref" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    extended = {**schema, "type": [schema["type"], "null"]}
    if "enum" in schema:
        extended["enum"] = [*schema["enum"], None]
    return extended
