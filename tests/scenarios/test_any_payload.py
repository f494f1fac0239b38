"""Whatever a client sends is acknowledged with a code that is not `internal`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hubbub import Client
from hubbub.errors import HubbubError
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from tests.scenarios.conftest import PASSWORD
from tests.scenarios.test_walk import OF_ONESELF, OF_ROOMS
from tests.support.process import Running

pytestmark = pytest.mark.slow

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
NUMBERS = st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXT
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
FIELDS = (
    "room_id", "client_id", "content", "seq", "emoji", "typing", "read_seq", "user_ids", "status",
    "text", "rooms", "after", "limit", "mentions", "reply_to", "thread_seq", "expires_in_s", "from",
)  # fmt: skip
CONTENT = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "sealed", "video"])},
    optional={"body": TEXT | ANYTHING, "format": TEXT, "ciphertext": TEXT, "scheme": TEXT},
)
LIKELY = {"content": CONTENT, "seq": st.integers(-2, 9), "typing": st.booleans(), "emoji": TEXT}
PAYLOADS = st.lists(st.sampled_from(FIELDS), unique=True, max_size=6).flatmap(
    lambda names: st.fixed_dictionaries({n: LIKELY.get(n, ANYTHING) | ANYTHING for n in names})
)
CASES = st.tuples(
    st.sampled_from([*OF_ROOMS, *sorted(OF_ONESELF), "no:such"]), ANYTHING | PAYLOADS,
    st.booleans(), st.booleans(),
)  # fmt: skip


@seed(3)
@settings(max_examples=25, deadline=None)
@given(cases=st.lists(CASES, min_size=20, max_size=40))
def test_no_payload_of_any_event_is_an_internal_fault(
    any_server: tuple[Running, dict[str, str]], cases: list[tuple[str, Any, bool, bool]]
):
    codes = asyncio.run(_send_all(*any_server, cases))

    assert not codes & {"internal", "disconnected"}


@pytest.fixture(scope="module")
def any_server(server: Running) -> tuple[Running, dict[str, str]]:
    async def prepare() -> dict[str, str]:
        async with Client(server.base_url) as client:
            await client.sign_up("fuzzer", PASSWORD)
            await client.connect()
            room = await client.create_room(name="garden")
            await room.send("hello")
            return {"room_id": room.id}

    return server, asyncio.run(prepare())


async def _send_all(
    server: Running, known: dict[str, str], cases: list[tuple[str, Any, bool, bool]]
) -> set[str]:
    """The codes of all refusals. Half of the payloads name a real room and a fresh client id."""
    codes: set[str] = set()
    async with Client(server.base_url) as client:
        await client.log_in("fuzzer", PASSWORD)
        await client.connect()
        for name, payload, in_room, with_id in cases:
            if isinstance(payload, dict):
                payload |= known if in_room else {}
                payload |= {"client_id": client._ids.new()} if with_id else {}
            try:
                await client.request(name, payload)
            except HubbubError as error:
                codes.add(error.code)
    return codes
