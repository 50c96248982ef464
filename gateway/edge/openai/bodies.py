"""Reads what a client sends: JSON, or a multipart form, part by part and within bounds."""

from __future__ import annotations

import base64
import json
from typing import Any, NoReturn

from aiohttp import BodyPartReader, web

from kinemesh.video.v1.video_service_pb2 import CreateVideoRequest
from services.common.errors import InvalidArgument, PayloadTooLarge
from services.common.formats import MAX_FIRST_FRAME_BYTES

MAX_BODY_BYTES = 15 * 2**20
"""As Envoy bounds it: below what a service accepts as one message."""
MAX_FIELD_BYTES = 64 * 2**10
MAX_PARTS = 32
FILE_FIELD = "input_reference"
_FIELDS = CreateVideoRequest.DESCRIPTOR.fields_by_name

Fields = dict[str, Any]


async def read_fields(request: web.Request) -> Fields:
    """The fields of a request. A file comes as base64, as JSON would carry it.

    Raises:
        InvalidArgument: MALFORMED_JSON, or a part that is wrong.
        PayloadTooLarge: A part is too large, or there are too many.
    """
    if request.content_type == "multipart/form-data":
        try:
            return await _read_form(request)
        except ValueError as error:
            raise InvalidArgument("MALFORMED_JSON", "the body must be a well-formed multipart form") from error
    if request.content_type != "application/json":
        raise InvalidArgument("MALFORMED_JSON", "the content type must be application/json or multipart/form-data")
    return _read_json(await request.read())


def _read_json(body: bytes) -> Fields:
    try:
        fields = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument("MALFORMED_JSON", "the body must be valid JSON") from error
    if not isinstance(fields, dict):
        raise InvalidArgument("MALFORMED_JSON", "the body must be a JSON object")
    return fields


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


async def _read_form(request: web.Request) -> Fields:
    fields: Fields = {}
    parts = 0
    async for part in await request.multipart():
        parts += 1
        if parts > MAX_PARTS:
            raise PayloadTooLarge("PAYLOAD_TOO_LARGE", f"a form may have {MAX_PARTS} parts")
        if not isinstance(part, BodyPartReader) or not part.name:
            raise InvalidArgument("MALFORMED_JSON", "every part of the form must be a named field")
        name, key = _split_name(part.name)
        value = await _read_part(part, name)
        if key is None:
            fields[name] = value
        else:
            fields.setdefault(name, {})[key] = value
    return fields


def _split_name(name: str) -> tuple[str, str | None]:
    """`a[b]` is how clients write the field b of the object a."""
    outer, bracket, rest = name.partition("[")
    return (outer, rest.removesuffix("]")) if bracket else (name, None)


async def _read_part(part: BodyPartReader, name: str) -> Any:
    if part.filename is not None:
        if name != FILE_FIELD:
            raise InvalidArgument.of_field(name, "is no file")
        return base64.b64encode(await _read_at_most(part, name, MAX_FIRST_FRAME_BYTES)).decode()
    try:
        text = (await _read_at_most(part, name, MAX_FIELD_BYTES)).decode()
    except UnicodeDecodeError as error:
        raise InvalidArgument.of_field(name, "must be UTF-8") from error
    return _typed(name, text)


async def _read_at_most(part: BodyPartReader, name: str, limit: int) -> bytes:
    content = bytearray()
    while chunk := await part.read_chunk():
        content += chunk
        if len(content) > limit:
            raise PayloadTooLarge("PAYLOAD_TOO_LARGE", f"{name} is larger than {limit} bytes")
    return bytes(content)


def _typed(name: str, text: str) -> Any:
    """A form has only text: numbers, booleans and objects of our own fields are read as JSON where they are that."""
    field = _FIELDS.get(name)
    if field is None or field.type in (field.TYPE_STRING, field.TYPE_BYTES):
        return text
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return text
