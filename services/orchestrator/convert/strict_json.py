"""JSON to a protobuf message, strictly.

Stricter than protobuf's own parser, so that a client's mistake is named and never ignored: unknown fields (snake_case
names only), duplicate keys, NaN and Infinity, numbers as strings, a byte order mark, deep nesting and very many values
are refused. As in proto3 JSON, `null` means absent, an integer may be written 24.0, bytes are base64, and 64-bit
integers may also be strings of digits, because that is how proto3 JSON prints them.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Iterator
from typing import Any, NoReturn, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from services.common.errors import FieldViolation, InvalidArgument

M = TypeVar("M", bound=Message)

_MAX_DEPTH = 16
_MAX_TOKENS = 4096
"""Strings, brackets and commas of a body: bounds the work for one whose bytes are many; bytes the gateway bounds."""
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[{]|[\]}]|,', re.DOTALL)
_INTEGERS = {FieldDescriptor.TYPE_INT32: 31, FieldDescriptor.TYPE_INT64: 63}
_DIGITS = re.compile(r"-?\d{1,19}")


class _Wrong(Exception):  # noqa: N818 - never leaves this module
    """A value that its field cannot take."""


def parse(data: bytes, message: type[M]) -> M:
    """Reads a JSON object into a message.

    Raises:
        InvalidArgument: MALFORMED_JSON, UNKNOWN_FIELD or INVALID_FIELD; the latter two name every field.
    """
    value = _load(data)
    if not isinstance(value, dict):
        raise _malformed("the body must be a JSON object")
    unknown = [FieldViolation(path, "unknown field") for path in _unknown(value, message.DESCRIPTOR, "")]
    if unknown:
        raise InvalidArgument.of_fields(*unknown, reason="UNKNOWN_FIELD")
    result, wrong = message(), list[FieldViolation]()
    _fill(result, value, "", wrong)
    if wrong:
        raise InvalidArgument.of_fields(*wrong)
    return result


def _load(data: bytes) -> Any:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise _malformed("the body must be UTF-8") from exc
    if text.startswith("\ufeff"):
        raise _malformed("the body must not begin with a byte order mark")
    _refuse_labour(text)
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except (json.JSONDecodeError, RecursionError) as exc:
        raise _malformed("the body must be valid JSON") from exc
    except ValueError as exc:
        # Python refuses to read integers of more than 4300 digits.
        raise _malformed("a number is too long") from exc


def _refuse_labour(text: str) -> None:
    """Looks at the structure outside strings, before a parser recurses; linear also for strings that do not end."""
    depth = 0
    for count, match in enumerate(_TOKEN.finditer(text), 1):
        if count > _MAX_TOKENS:
            raise _malformed("the body holds too many values")
        if match[0] in "[{":
            depth += 1
            if depth > _MAX_DEPTH:
                raise _malformed("the body is nested too deeply")
        elif match[0] in "]}":
            depth -= 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict[str, Any]()
    for name, value in pairs:
        if name in result:
            raise _malformed(f"the key {_shown(name)} occurs twice", name)
        result[name] = value
    return result


def _constant(name: str) -> NoReturn:
    raise _malformed(f"{name} is not JSON")


def _malformed(text: str, key: str = "") -> InvalidArgument:
    error = InvalidArgument("MALFORMED_JSON", text)
    if key:
        error.metadata["key"] = _shown(key)
    return error


def _shown(name: str) -> str:
    """A client's name, harmless in headers and logs."""
    return name.encode("ascii", "backslashreplace").decode()[:100]


def _unknown(value: dict[str, Any], descriptor: Any, prefix: str) -> Iterator[str]:
    for name, inner in value.items():
        # Names that are not UTF-8 make the descriptor's look-up fail.
        field = descriptor.fields_by_name.get(name) if name.isascii() else None
        if field is None:
            yield prefix + _shown(name)
        elif field.message_type is not None and isinstance(inner, dict):
            yield from _unknown(inner, field.message_type, f"{prefix}{name}.")


def _fill(message: Message, value: dict[str, Any], prefix: str, wrong: list[FieldViolation]) -> None:
    for name, inner in value.items():
        field = message.DESCRIPTOR.fields_by_name[name]
        if inner is None:
            continue
        if field.message_type is None:
            try:
                setattr(message, name, _scalar(field, inner))
            except _Wrong as exc:
                wrong.append(FieldViolation(prefix + name, str(exc)))
        elif isinstance(inner, dict):
            nested = getattr(message, name)
            nested.SetInParent()
            _fill(nested, inner, f"{prefix}{name}.", wrong)
        else:
            wrong.append(FieldViolation(prefix + name, "must be an object"))


def _scalar(field: Any, value: Any) -> str | bytes | bool | int | float:
    if field.type == FieldDescriptor.TYPE_STRING:
        return _string(value)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _bytes(value)
    if field.type == FieldDescriptor.TYPE_BOOL:
        if not isinstance(value, bool):
            raise _Wrong("must be true or false")
        return value
    if field.type in _INTEGERS:
        return _integer(value, _INTEGERS[field.type])
    return _number(value)


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise _Wrong("must be a string")
    if "\0" in value or not _is_utf8(value):
        raise _Wrong("must not contain NUL or lone surrogates")
    return value


def _is_utf8(text: str) -> bool:
    """Whether it has no lone surrogates; looking at each character would take seconds for a picture."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _bytes(value: object) -> bytes:
    try:
        return base64.b64decode(_string(value), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise _Wrong("must be base64") from exc


def _integer(value: object, bits: int) -> int:
    if bits == 63 and isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    number = _number(value)
    if isinstance(number, float) and not number.is_integer():
        raise _Wrong("must be an integer")
    if not -(2**bits) <= number < 2**bits:
        raise _Wrong("is out of range")
    return int(number)


def _number(value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Wrong("must be a number")
    if value.bit_length() > 64 if isinstance(value, int) else not math.isfinite(value):
        raise _Wrong("is out of range")
    return value
