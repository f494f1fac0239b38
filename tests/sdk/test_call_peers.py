"""The SDK's peer for media: what is sent comes back, whatever the other side does meanwhile."""

from __future__ import annotations

import asyncio
from functools import cache

import pytest

pytest.importorskip("aiortc")

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.two_peers import Camera, End, left_over, two_ends
from tests.support.waiting import until

pytestmark = pytest.mark.slow


def camera_of(end: End) -> Camera:
    assert isinstance(end.media, Camera)
    return end.media


async def test_what_is_said_and_shown_comes_back() -> None:
    async with two_ends() as (caller, echo):
        await echo.peer.offer()

        frames = camera_of(caller).frames
        await until(lambda: frames["mic"] > 10 and frames["camera"] > 10)
        assert caller.connected
        assert frames["screen"] == 0


async def test_of_two_offers_that_cross_the_one_of_who_came_later_counts() -> None:
    async with two_ends() as (caller, echo):
        caller.open = echo.open = False
        await asyncio.gather(caller.peer.offer(), echo.peer.offer())
        caller.open = echo.open = True

        refused = await echo.takes(caller.sent[0])
        await caller.takes(echo.sent[0])

        assert refused == "collision"
        await until(lambda: camera_of(caller).frames["camera"] > 5)


async def test_an_offer_that_was_ignored_is_taken_when_ours_gets_no_answer() -> None:
    async with two_ends() as (caller, echo):
        caller.open = echo.open = False
        await asyncio.gather(caller.peer.offer(), echo.peer.offer())
        await echo.takes(caller.sent[0])
        echo.open = True

        await echo.peer.give_way()

        await until(lambda: camera_of(caller).frames["camera"] > 5)


async def test_a_device_with_a_new_connection_is_answered_anew() -> None:
    async with two_ends() as (caller, echo):
        await echo.peer.offer()
        await until(lambda: camera_of(caller).frames["camera"] > 5)

        await caller.peer.offer()  # as after a page was loaded anew: another connection

        camera_of(caller).frames.clear()
        await until(lambda: camera_of(caller).frames["camera"] > 5)
        assert [each["type"] for each in echo.sent] == ["offer", "answer"]
        assert echo.sent[0]["from"] != echo.sent[1]["from"]


async def test_candidates_that_come_before_the_offer_are_used_after_it() -> None:
    async with two_ends() as (caller, echo):
        caller.open = False
        await caller.peer.offer()
        offer = dict(caller.sent[0])
        lines = str(offer["sdp"]).split("\r\n")
        candidates = [line for line in lines if line.startswith("a=candidate")]
        bare = [line for line in lines if not line.startswith(("a=candidate", "a=end-of"))]
        offer["sdp"] = "\r\n".join(bare)

        for line in candidates:
            await echo.takes({"candidate": {"candidate": line[2:], "sdpMLineIndex": 0}})
        await echo.takes(offer)

        await until(lambda: echo.connected)


async def test_an_answer_meant_for_an_earlier_connection_changes_nothing() -> None:
    async with two_ends() as (caller, echo):
        await echo.peer.offer()
        await until(lambda: echo.connected)
        answer = {**caller.sent[0], "to": "somebody else"}

        refused = await echo.takes(answer)

        assert refused == "stale"
        assert echo.connected


async def test_twenty_calls_leave_no_task_and_no_socket() -> None:
    await _one_call()
    before = await _left()

    for _ in range(20):
        await _one_call()

    assert await _left() == before


async def test_calls_that_end_while_they_connect_leave_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    await _one_call()
    before = await _left()

    for step in range(60):
        await _one_call(ends_after_s=0.001 * step)

    assert await _left() == before
    assert not caplog.records


async def _one_call(ends_after_s: float | None = None) -> None:
    async with two_ends("mic") as (_caller, echo):
        await echo.peer.offer()
        if ends_after_s is None:
            await until(lambda: echo.connected)
        else:
            await asyncio.sleep(ends_after_s)


async def _left() -> tuple[int, int, int]:
    await asyncio.sleep(0.1)
    return left_over()


ADDRESSES = st.sampled_from(
    ["192.0.2.1", "::1", "fe80::1%eth0", "x.local", "256.1.1.1", "", "\x00"]
)
LINES = st.one_of(
    st.text(max_size=200),
    st.builds(
        "candidate:{} {} {} {} {} {} typ {} raddr {} rport {}".format,
        st.text(max_size=5), st.integers(), st.sampled_from(["udp", "tcp", "x"]), st.integers(),
        ADDRESSES, st.integers(-5, 70_000), st.sampled_from(["host", "relay", "prflx", "y"]),
        ADDRESSES, st.integers(),
    ),
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
CANDIDATES = st.fixed_dictionaries(
    {"candidate": LINES | JSON},
    optional={
        "sdpMid": st.sampled_from(["0", "9", ""]) | JSON,
        "sdpMLineIndex": st.integers() | JSON,
    },
)


@st.composite
def mutants(draw: st.DrawFn) -> str:
    """Lines of a real offer: left out, doubled, moved, with other characters."""
    lines = real_offer().split("\r\n")
    for _ in range(draw(st.integers(1, 8))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["drop", "double", "swap", "cut", "number", "write"])):
            case "drop" if len(lines) > 1:
                del lines[at]
            case "double":
                lines.insert(at, lines[at])
            case "swap":
                other = draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
            case "cut":
                lines[at] = lines[at][: draw(st.integers(0, 30))]
            case "number":
                lines[at] = "".join(
                    draw(st.sampled_from("09")) if c.isdigit() else c for c in lines[at]
                )
            case _:
                lines[at] += draw(st.text(max_size=10))
    return "\r\n".join(lines)


@cache
def real_offer() -> str:
    async def offer() -> str:
        async with two_ends() as (caller, _echo):
            caller.open = False
            await caller.peer.offer()
            return str(caller.sent[0]["sdp"])

    return asyncio.run(offer())


SIGNALS = st.one_of(
    JSON,
    CANDIDATES,
    st.fixed_dictionaries({"type": st.just("candidate"), "candidate": CANDIDATES | JSON}),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["offer", "answer"]), "sdp": mutants()},
        optional={"sources": JSON, "from": st.text(max_size=3), "to": st.text(max_size=3)},
    ),
)


@settings(max_examples=60)
@given(st.lists(SIGNALS, max_size=6), st.booleans())
def test_nothing_that_another_device_sends_escapes_as_an_exception(
    signals: list[object], offers: bool
) -> None:
    async def hostile() -> None:
        async with two_ends("mic") as (caller, echo):
            caller.open = False
            if offers:
                await echo.peer.offer()
            for signal in signals:
                await echo.takes(signal)

            # And who then behaves is heard.
            await caller.peer.offer()
            if await echo.takes(caller.sent[-1]) == "collision":
                await echo.peer.give_way()
            await until(lambda: echo.peer.state in ("connecting", "connected"))

    asyncio.run(hostile())
