"""The web page: a folder read once at the start, served from memory."""

from __future__ import annotations

import hashlib
import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

_HASHED = re.compile(r"[.-][A-Za-z0-9_-]{8,}\.[a-z0-9]+(?:\.map)?\Z")
FOREVER = "public, max-age=31536000, immutable"
NOT_CLIENT = ("/api/", "/socket.io/", "/engine.io/", "/assets/")
MAX_PAGE_BYTES = 64 * 1024**2

_TYPES = {
    ".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".html": "text/html",
    ".svg": "image/svg+xml", ".woff2": "font/woff2", ".webmanifest": "application/manifest+json",
    ".json": "application/json", ".map": "application/json", ".wasm": "application/wasm",
    ".txt": "text/plain", ".ico": "image/x-icon",
}  # fmt: skip

PAGE_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'self'", "script-src 'self'", "style-src 'self'",
            "img-src 'self' data: blob:", "media-src 'self' blob:", "connect-src 'self'",
            "worker-src 'self' blob:", "object-src 'none'", "base-uri 'none'",
            "form-action 'self'", "frame-ancestors 'none'",
        )
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(self), geolocation=()",
}  # fmt: skip
"""`'self'` in connect-src covers ws: and wss: of the same host (CSP level 3, section 6.7.2.8)."""

MISSING = """<!doctype html><meta charset="utf-8"><title>Hubbub</title>
<h1>Hubbub is running</h1><p>The web page has not been built here: run <code>make web</code>.
Programs use <a href="/api/v1/openapi.json">the API</a>.</p>
"""


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    media_type: str
    etag: str
    lasting: bool


class Pages:
    """Only what the folder held at the start is served, so no path can lead out of it."""

    def __init__(self, root: Path | None) -> None:
        self._files = {} if root is None or not root.is_dir() else _read_folder(root)
        if "/index.html" not in self._files:
            self._files["/index.html"] = _file(MISSING.encode(), "index.html")

    def find(self, path: str, *, wants_page: bool) -> _File | None:
        """The file at `path`; for the client's own routes (no extension) the page itself."""
        if path == "/":
            return self._files["/index.html"]
        found = self._files.get(path)
        if found is not None or not wants_page or path.startswith(NOT_CLIENT):
            return found
        return None if "." in path.rpartition("/")[2] else self._files["/index.html"]

    def serve(self, request: web.Request) -> web.Response | None:
        """The answer to a GET or HEAD, None when there is no such file."""
        if request.method not in ("GET", "HEAD"):
            return None
        wants_page = "text/html" in request.headers.get("Accept", "")
        file = self.find(request.path, wants_page=wants_page)
        if file is None:
            return None
        headers = dict(PAGE_HEADERS)
        headers["ETag"] = file.etag
        headers["Cache-Control"] = FOREVER if file.lasting else "no-cache"
        known = [tag.strip() for tag in request.headers.get("If-None-Match", "").split(",")]
        if file.etag in known or f"W/{file.etag}" in known:
            return web.Response(status=304, headers=headers)
        headers["Content-Type"] = file.media_type
        return web.Response(body=file.body, headers=headers)


def _read_folder(root: Path) -> dict[str, _File]:
    files: dict[str, _File] = {}
    size = 0
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if not path.is_file() or any(part.startswith(".") for part in name.split("/")):
            continue
        size += path.stat().st_size
        if size > MAX_PAGE_BYTES:
            raise ValueError(f"{root} holds more than {MAX_PAGE_BYTES} bytes: is it the web page?")
        files["/" + name] = _file(path.read_bytes(), name)
    return files


def _file(body: bytes, name: str) -> _File:
    suffix = Path(name).suffix
    media_type = _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    if media_type.startswith("text/"):
        media_type += "; charset=utf-8"
    etag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    return _File(body, media_type, etag, _HASHED.search(name) is not None)
