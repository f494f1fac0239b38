"""What the driver raises, sorted: what was asked about, and what says that the store is away."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import urllib3
from minio.error import MinioException, S3Error

_T = TypeVar("_T")

ABSENT = frozenset({"NoSuchKey", "NoSuchUpload"})
CHANGED = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})


class StoreFault(Exception):
    """The store did not serve; the text is S3's code, or the kind of failure."""


class Absent(Exception):
    """The object, or the multipart upload, is not there."""


class Changed(Exception):
    """The condition of a write does not hold: somebody else was first."""


class OutOfRange(Exception):
    """The object is shorter."""


def sorted_out(work: Callable[[], _T]) -> _T:
    """Raises Absent, Changed, OutOfRange or StoreFault in place of the driver's own."""
    try:
        return work()
    except S3Error as error:
        raise _sort(error.code or "S3Error") from None
    except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
        raise StoreFault(type(error).__name__) from None


def _sort(code: str) -> Exception:
    if code in ABSENT:
        return Absent(code)
    if code in CHANGED:
        return Changed(code)
    return OutOfRange(code) if code == "InvalidRange" else StoreFault(code)
