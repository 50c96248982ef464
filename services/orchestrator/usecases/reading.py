"""What users read of their videos."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

from services.common.errors import InvalidArgument, NotFound
from services.common.postgres import Pool
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.status import Status
from services.orchestrator.store import jobs, listing
from services.orchestrator.store.listing import Cursor

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
# Seventeen digits of microseconds end in the year 5138, which every calendar here can take.
_CURSOR = re.compile(r"([0-9]{1,17})[.]([0-9a-f-]{36})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class PageRequest:
    """Which videos to list."""

    limit: int
    offset: int
    status: str
    page_token: str


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of videos."""

    jobs: list[Job]
    total: int
    limit: int
    offset: int
    next_page_token: str


class Videos:
    """A user's own videos."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def get(self, user_id: str, request_id: str) -> Job:
        """Reads a video.

        Raises:
            NotFound: VIDEO_NOT_FOUND: none, or another user's, or no id at all.
        """
        job = await self._owned(user_id, request_id)
        if job is None or job.deleted_at is not None:
            raise video_not_found()
        return job

    async def list_full(self, user_id: str, limit: int, after: str, *, ascending: bool) -> tuple[list[Job], bool]:
        """Lists videos behind one of them; tells also whether there are more.

        Raises:
            InvalidArgument: The limit is negative.
        """
        size = _page_size(limit)
        last = await self._owned(user_id, after) if after else None
        if after and last is None:
            return [], False
        cursor = Cursor(last.created_at, last.request_id) if last else None
        read = listing.of_user_ascending if ascending else listing.of_user
        found = await read(self._pool, user_id, None, size + 1, after=cursor)
        return found[:size], len(found) > size

    async def _owned(self, user_id: str, request_id: str) -> Job | None:
        key = parse_id(request_id)
        job = await jobs.get(self._pool, key) if key else None
        return job if job and job.user_id == user_id else None

    async def list(self, user_id: str, request: PageRequest) -> Page:
        """Lists videos, newest first.

        Raises:
            InvalidArgument: A field is wrong.
        """
        status = _read_status(request.status)
        limit = _page_size(request.limit)
        if request.offset < 0:
            raise InvalidArgument.of_field("offset", "must not be negative")
        if request.page_token and request.offset:
            raise InvalidArgument.of_field("offset", "must be 0 with page_token")
        after = read_page_token(request.page_token)
        found = await listing.of_user(self._pool, user_id, status, limit + 1, offset=request.offset, after=after)
        return Page(
            jobs=found[:limit],
            total=await listing.count_of_user(self._pool, user_id, status),
            limit=limit,
            offset=request.offset,
            next_page_token=page_token(found[limit - 1]) if len(found) > limit else "",
        )


def _page_size(limit: int) -> int:
    if limit < 0:
        raise InvalidArgument.of_field("limit", "must not be negative")
    return min(limit or DEFAULT_LIMIT, MAX_LIMIT)


def parse_id(text: str) -> UUID | None:
    """Reads a UUID in its canonical form only."""
    return UUID(text) if _UUID.fullmatch(text) else None


def video_not_found() -> NotFound:
    """The one answer for what is not the caller's."""
    return NotFound("VIDEO_NOT_FOUND", "no such video")


class _Listed(Protocol):
    """What lists are ordered by."""

    @property
    def created_at(self) -> datetime: ...

    @property
    def request_id(self) -> UUID: ...


def page_token(last: _Listed) -> str:
    """Where the next page begins."""
    since = (last.created_at - _EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(f"{since}.{last.request_id}".encode()).decode()


def read_page_token(token: str) -> Cursor | None:
    """Reads a page token; None for the first page.

    Raises:
        InvalidArgument: It is not one of ours.
    """
    if not token:
        return None
    try:
        match = _CURSOR.fullmatch(base64.urlsafe_b64decode(token.encode("ascii")).decode("ascii"))
    except (UnicodeError, binascii.Error):
        match = None
    if match is None or (request_id := parse_id(match[2])) is None:
        raise InvalidArgument.of_field("page_token", "must be a next_page_token")
    return Cursor(_EPOCH + timedelta(microseconds=int(match[1])), request_id)


def _read_status(name: str) -> Status | None:
    if not name:
        return None
    try:
        return Status(name.upper())
    except ValueError as exc:
        raise InvalidArgument.of_field("status", f"must be one of {', '.join(Status)}") from exc
