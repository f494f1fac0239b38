"""Claims in buckets before the one that is written: looked for once, before the append.

A conditional batch sees the claims of its own bucket only. A client's id is dated by its own time,
so its claim can lie in no bucket that was full before that; of the others, which are full and
never change, the keys are held here as hashes. Only a hash that is found is looked up.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Collection

from server.kernel.ids import RoomId, UserId, uuid7_time_ms
from storage.api import Claim
from storage.cassandra.rooms import NOTHING, Bucket, Room, Rooms
from storage.cassandra.rows import claim_key, claim_of
from storage.cassandra.session import Session

Key = tuple[UserId, str]

SLACK_MS = 3 * 3600 * 1000
"""A client may date its id an hour ahead, and the clocks of two nodes may be an hour off each."""
HELD_BUCKETS = 1024
"""32 KiB each."""
KEYS_AT_ONCE = 100


class Claims:
    """Looks for claims through the buckets of rooms."""

    def __init__(self, session: Session, rooms: Rooms) -> None:
        self._session = session
        self._rooms = rooms
        self._held: OrderedDict[tuple[RoomId, int], array[int]] = OrderedDict()

    async def find(self, room: Room, keys: Collection[Key], tip: Bucket) -> dict[Key, Claim]:
        """In the open bucket, then in those before it that the keys' dates leave."""
        found = await self._read(room, tip.number, [claim_key(*key) for key in keys])
        wanted = [key for key in keys if key not in found]
        return found | await self.before(room, wanted, tip)

    async def before(self, room: Room, keys: Collection[Key], bucket: Bucket) -> dict[Key, Claim]:
        """In the buckets before `bucket`, as far back as each key's date goes. Costs no read where
        `bucket` was open before all of them were made.
        """
        found: dict[Key, Claim] = {}
        wanted = {claim_key(*key): _dated(key[1]) for key in keys}
        while wanted and bucket.number > 0:
            wanted = {cid: since for cid, since in wanted.items() if bucket.opened >= since}
            if not wanted:
                break
            older = await self._rooms.bucket(room, bucket.number - 1)
            bucket = NOTHING if older is None else older
            seen = await self._likely(room, bucket, wanted)
            for key, claim in (await self._read(room, bucket.number, seen)).items():
                found[key] = claim
                wanted.pop(claim_key(*key))
        return found

    async def _likely(self, room: Room, bucket: Bucket, cids: Collection[bytes]) -> list[bytes]:
        """Those whose hashes are among the bucket's."""
        if bucket.number < 0:
            return []
        place = (room.id, bucket.number)
        hashes = self._held.get(place)
        if hashes is None:
            # Settles what a dead node may have left under way; the bucket never changes after it.
            await self._session.read("head", room.id, bucket.number, serial=True)
            rows = await self._session.read("all_claims", room.id, bucket.number)
            hashes = self._held[place] = array("q", sorted(hash(cid) for cid, _ in rows))
            while len(self._held) > HELD_BUCKETS:
                self._held.popitem(last=False)
        else:
            self._held.move_to_end(place)
        return [cid for cid in cids if _contains(hashes, hash(cid))]

    async def _read(self, room: Room, number: int, cids: list[bytes]) -> dict[Key, Claim]:
        found: dict[Key, Claim] = {}
        if number < 0:
            return found
        for at in range(0, len(cids), KEYS_AT_ONCE):
            some = cids[at : at + KEYS_AT_ONCE]
            for cid, value in await self._session.read("claims", room.id, number, some):
                claim = claim_of(cid, value)
                found[claim.sender_id, claim.client_id] = claim
        return found


def _dated(client_id: str) -> int:
    """Buckets that closed before this cannot have it; 0 for an id without a date."""
    at_ms = uuid7_time_ms(client_id)
    return 0 if at_ms is None else at_ms - SLACK_MS


def _contains(hashes: array[int], value: int) -> bool:
    at = bisect_left(hashes, value)
    return at < len(hashes) and hashes[at] == value
