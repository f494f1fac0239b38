"""What `storage.api.CallQuality` promises, over all implementations."""

from __future__ import annotations

import asyncio

from server.kernel.ids import DeviceId, RoomId, UserId
from storage.api import QualityRow, Store

LAPTOP, PHONE, ITSELF = DeviceId("laptop"), DeviceId("phone"), DeviceId("")


def row(device_id: DeviceId = LAPTOP, **given: object) -> QualityRow:
    fields = {
        "call_id": "call-1", "room_id": RoomId("garden"), "user_id": UserId("alice"),
        "updated_at": 1_000, "version": 1, "state": '["ä"]', **given,
    }  # fmt: skip
    return QualityRow(device_id=device_id, **fields)  # type: ignore[arg-type]


async def test_a_row_is_found_by_its_device_and_with_its_call(store: Store) -> None:
    rows = [row(PHONE), row(), row(ITSELF), row(call_id="call-2")]

    assert [await store.call_quality.put(each) for each in rows] == [True] * 4

    assert await store.call_quality.get("call-1", LAPTOP) == row()
    assert await store.call_quality.get("call-2", PHONE) is None
    assert await store.call_quality.of_call("call-1", 10) == [row(ITSELF), row(), row(PHONE)]
    assert await store.call_quality.of_call("call-1", 2) == [row(ITSELF), row()]


async def test_the_next_version_replaces_the_one_before(store: Store) -> None:
    await store.call_quality.put(row())
    second = row(version=2, updated_at=2_000, state="x" * 65_536)

    assert await store.call_quality.put(second)

    assert await store.call_quality.get("call-1", LAPTOP) == second


async def test_who_read_an_older_version_changes_nothing(store: Store) -> None:
    await store.call_quality.put(row())
    await store.call_quality.put(row(version=2, state="[2]"))

    late = [row(state="[3]"), row(version=2, state="[3]"), row(version=4, state="[3]")]

    assert [await store.call_quality.put(each) for each in late] == [False] * 3
    assert not await store.call_quality.put(row(PHONE, version=2))
    assert await store.call_quality.of_call("call-1", 10) == [row(version=2, state="[2]")]


async def test_of_several_who_write_at_once_one_wins(store: Store) -> None:
    await store.call_quality.put(row())
    drafts = [row(version=2, state=f"[{n}]") for n in range(5)]

    done = await asyncio.gather(*(store.call_quality.put(each) for each in drafts))

    assert done.count(True) == 1
    assert await store.call_quality.get("call-1", LAPTOP) == drafts[done.index(True)]


async def test_what_is_old_goes_a_few_at_a_time(store: Store) -> None:
    for number in range(5):
        await store.call_quality.put(row(call_id=f"call-{number}", updated_at=1_000 + number))

    assert await store.call_quality.drop_before(1_003, 2) == 2
    assert await store.call_quality.drop_before(1_003, 2) == 1
    assert await store.call_quality.drop_before(1_003, 2) == 0
    assert await store.call_quality.get("call-3", LAPTOP) is not None
