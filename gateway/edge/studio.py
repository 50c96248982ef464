"""The web studio: serves the page that gateway/studio builds, with headers that let it do no more than it needs."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import ETag, web

_BUILT = Path(__file__).parents[1] / "studio" / "dist"
_FILES = {
    "/": ("index.html", "text/html"),
    "/studio.js": ("studio.js", "text/javascript"),
    "/studio.css": ("studio.css", "text/css"),
    "/favicon.svg": ("favicon.svg", "image/svg+xml"),
    "/licences.txt": ("licences.txt", "text/plain"),
}


class Studio:
    """The page's files, read once. They need no token: the page asks for one."""

    def __init__(self, media_url: str | None = None) -> None:
        """`media_url` is where presigned addresses lead; None where that is the gateway."""
        self._headers = {
            "Content-Security-Policy": _policy(_origin(media_url)),
            "Cross-Origin-Opener-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            # The names stay the same from build to build: a browser asks whether its copy is still good.
            "Cache-Control": "no-cache",
        }
        self._bodies = {path: (_BUILT / name).read_bytes() for path, (name, _) in _FILES.items()}

    def add_routes(self, app: web.Application) -> None:
        """Adds a route for each file."""
        for path in _FILES:
            app.router.add_get(path, self._serve)

    async def _serve(self, request: web.Request) -> web.Response:
        body = self._bodies[request.path]
        tag = ETag(hashlib.sha256(body).hexdigest()[:32])
        if tag in (request.if_none_match or ()):
            response = web.Response(status=304, headers=self._headers)
        else:
            _, kind = _FILES[request.path]
            response = web.Response(body=body, headers=self._headers, content_type=kind, charset="utf-8")
            response.enable_compression()
        response.etag = tag
        return response


def _origin(url: str | None) -> str:
    parts = urlsplit(url or "")
    return f" {parts.scheme}://{parts.netloc}" if parts.netloc else ""


def _policy(media: str) -> str:
    sources = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": f"'self'{media}",
        "img-src": f"'self'{media}",
        "media-src": f"'self'{media}",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
    }
    return "; ".join(f"{name} {value}" for name, value in sources.items())
