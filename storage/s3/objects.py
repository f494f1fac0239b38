"""What is kept with a finished file: its type as S3 has it, its name in a header of its own."""

from __future__ import annotations

import base64
import binascii
from urllib.parse import quote

from server.kernel.ids import FileId
from storage.api import FileInfo
from storage.s3.bucket import Found

NAME = "name"


def headers_of(file: FileInfo) -> dict[str, str]:
    """A name of 255 characters in base64 fits the 2 KB that S3 leaves for such headers."""
    name = base64.urlsafe_b64encode(file.name.encode()).decode()
    return (
        {"Content-Type": file.mime, f"x-amz-meta-{NAME}": name}
        if name
        else {"Content-Type": file.mime}
    )


def info_of(file_id: FileId, found: Found) -> FileInfo:
    """An object that somebody put there otherwise may have another kind of name: none then."""
    try:
        name = base64.urlsafe_b64decode(found.meta.get(NAME, "")).decode()
    except (binascii.Error, UnicodeDecodeError):
        name = ""
    return FileInfo(file_id, found.size, name, found.mime)


def answer_headers(name: str, mime: str) -> dict[str, str]:
    """What a signed address makes the store answer with (RFC 6266, RFC 8187 for the name)."""
    named = f"; filename*=UTF-8''{quote(name, safe='')}" if name else ""
    headers = {"response-content-disposition": f"attachment{named}"}
    return headers | ({"response-content-type": mime} if mime else {})
