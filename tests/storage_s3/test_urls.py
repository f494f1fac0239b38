"""Signed addresses, asked for as a browser would: without a login."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
from aiohttp import ClientSession

from server.kernel.clock import Virtual
from server.kernel.config import S3
from server.kernel.ids import FileId
from storage.s3 import S3Files, open_s3
from tests.support.file_stores import pattern, put

pytestmark = pytest.mark.slow


@pytest.fixture
async def browser() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


async def test_a_signed_address_gives_the_file_as_an_attachment(
    files: S3Files, browser: ClientSession
) -> None:
    file = await put(files, pattern(100_000), mime="image/png")

    async with browser.get(_url(files, file.id, name='Größe "1".png')) as answer:
        assert answer.status == 200
        assert await answer.read() == pattern(100_000)
        assert answer.content_type == "image/png"
        assert answer.content_disposition is not None
        assert answer.content_disposition.type == "attachment"
        assert answer.content_disposition.filename == 'Größe "1".png'


async def test_a_signed_address_honours_ranges(files: S3Files, browser: ClientSession) -> None:
    file = await put(files, pattern(100_000))
    url = _url(files, file.id)

    async with browser.get(url, headers={"Range": "bytes=500-599"}) as answer:
        assert (answer.status, await answer.read()) == (206, pattern(100, 500))
        assert answer.headers["Content-Range"] == "bytes 500-599/100000"
    async with browser.get(url, headers={"Range": "bytes=-10"}) as answer:
        assert (answer.status, await answer.read()) == (206, pattern(10, 99_990))
    async with browser.get(url, headers={"Range": "bytes=100000-"}) as answer:
        assert answer.status == 416


async def test_an_address_that_was_changed_is_refused(
    files: S3Files, browser: ClientSession
) -> None:
    mine, other = await put(files, b"mine"), await put(files, b"other")
    url = _url(files, mine.id, name="a.txt", mime="text/plain")
    changed = [
        url.replace(mine.id, other.id),
        url.replace("text%2Fplain", "text%2Fhtml"),
        url.replace("Expires=60", "Expires=600"),
        url[:-4] + ("0000" if not url.endswith("0000") else "1111"),
        url.partition("?")[0],
    ]

    for address in changed:
        assert address != url
        async with browser.get(address) as answer:
            assert answer.status == 403, address
    async with browser.put(url, data=b"worse") as answer:
        assert answer.status == 403


async def test_an_address_whose_time_is_over_is_refused(
    files: S3Files, browser: ClientSession, clock: Virtual
) -> None:
    file = await put(files, b"abc")
    clock.advance(-61)
    over = _url(files, file.id)
    clock.advance(31)
    still = _url(files, file.id)

    async with browser.get(over) as answer:
        assert answer.status == 403
    async with browser.get(still) as answer:
        assert answer.status == 200


async def test_addresses_name_the_public_endpoint(config: S3, clock: Virtual) -> None:
    for public, begin in (
        ("https://files.example.org", "https://files.example.org/"),
        ("files.example.org:9000", "http://files.example.org:9000/"),
    ):
        files = await open_s3(msgspec.structs.replace(config, public_endpoint=public), clock=clock)

        assert _url(files, FileId("abc")).startswith(f"{begin}{config.bucket}/files/abc?")
        await files.close()


async def test_an_address_is_made_without_the_store(config: S3, clock: Virtual) -> None:
    away = msgspec.structs.replace(config, endpoint="127.0.0.1:9", limit_s=0.5)
    files = await open_s3(away, clock=clock)

    assert _url(files, FileId("abc")).startswith("http://127.0.0.1:9/")
    await files.close()


def _url(files: S3Files, file_id: FileId, *, name: str = "", mime: str = "") -> str:
    url = files.url(file_id, 60, name=name, mime=mime)
    assert url is not None
    return url
