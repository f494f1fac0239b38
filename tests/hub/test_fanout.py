"""Order and merging of what goes out, over sockets in memory that keep what was written."""

import pytest

from server.hub.audience import Audience
from server.hub.fanout import Fanout
from server.hub.metrics import HubMetrics
from server.hub.outbox import Outbox
from server.hub.session import Session, State
from server.kernel.events import Context
from server.kernel.ids import DeviceId, RoomId, SessionId, SocketId, UserId
from server.kernel.json import encode
from server.kernel.outlet import RoomEvent
from tests.support.hub_house import GARDEN, Told

LIMIT = 1000


class MemorySocket:
    """An engine socket that writes into a list; `stuck` bytes wait when it is congested."""

    peer = "127.0.0.1"

    def __init__(self):
        self.writes = []
        self.congested = False
        self.stuck = 0
        self.polling = False
        self.closed = False

    @property
    def raw_write(self):
        return None if self.polling else self._write

    def _write(self, data):
        self.writes.append(data)
        if self.congested:
            self.stuck += len(data)

    def send_encoded(self, encoded):
        self.writes.append(encoded.frame)

    def buffered_bytes(self):
        return self.stuck

    def texts(self):
        """The Socket.IO packets of short frames written so far."""
        data, found = b"".join(self.writes), []
        while data:
            size, start = (data[1], 2) if data[1] < 126 else (int.from_bytes(data[2:4], "big"), 4)
            found.append(data[start + 1 : start + size].decode())
            data = data[start + size :]
        return found


class Fixture:
    def __init__(self):
        self.audience = Audience()
        self.metrics = HubMetrics()
        self.cut = []
        self.outbox = Outbox(LIMIT, self._cut, self.metrics)
        self.fanout = Fanout(self.audience, self.outbox, self.metrics, merge_ms=2.0)

    def _cut(self, session):
        session.state = State.ENDED
        session.socket.closed = True
        self.audience.remove(session)
        self.cut.append(session)

    def connects(self, user, socket_id=None, rooms=(GARDEN,)):
        session = Session(MemorySocket())
        ctx = Context(
            UserId(user), DeviceId(user), SessionId(user), SocketId(socket_id or f"{user}-1")
        )
        session.ctx, session.user_id, session.state = ctx, ctx.user_id, State.LIVE
        present = self.audience.expect(ctx.user_id)
        if present.rooms is None:
            self.audience.loaded(present, rooms)
        self.audience.named(session)
        self.audience.add(session)
        self.audience.came(ctx.user_id)
        return session

    def tells(self, body, sender="alice", room=GARDEN):
        event = RoomEvent(UserId(sender), encode(Told(body, "mine")), encode(Told(body)))
        self.fanout.room_event(room, event)


def plain(body):
    return f'2["room:event",{{"body":"{body}"}}]'


def mine(body):
    return f'2["room:event",{{"body":"{body}","client_id":"mine"}}]'


@pytest.fixture
async def hall():
    return Fixture()


async def test_events_of_one_turn_are_one_write(hall):
    bob = hall.connects("bob")
    for body in "abc":
        hall.tells(body)

    hall.fanout.flush(GARDEN)

    assert len(bob.socket.writes) == 1
    assert bob.socket.texts() == [plain(body) for body in "abc"]


async def test_the_senders_devices_get_their_own_form_and_others_the_plain_one(hall):
    alice, tablet = hall.connects("alice"), hall.connects("alice", "alice-2")
    bob = hall.connects("bob")
    hall.tells("a", "alice")
    hall.tells("b", "bob")

    hall.fanout.flush(GARDEN)

    assert alice.socket.texts() == tablet.socket.texts() == [mine("a"), plain("b")]
    assert bob.socket.texts() == [plain("a"), mine("b")]


async def test_a_direct_packet_comes_after_what_waits_in_the_users_rooms(hall):
    bob = hall.connects("bob")
    hall.tells("a")

    hall.fanout.to_users([UserId("bob")], "room:removed", {})

    assert [text[3:8] for text in bob.socket.texts()] == ["room:", "room:"]
    assert bob.socket.texts()[1] == '2["room:removed",{}]'


async def test_who_leaves_gets_what_came_before_and_nothing_after(hall):
    bob = hall.connects("bob")
    hall.tells("a")

    hall.fanout.leave(UserId("bob"), GARDEN)
    hall.tells("b")
    hall.fanout.flush(GARDEN)

    assert bob.socket.texts() == [plain("a")]
    assert GARDEN not in hall.audience.rooms


async def test_who_joins_gets_nothing_from_before(hall):
    hall.connects("alice")
    bob = hall.connects("bob", rooms=())
    hall.tells("a")

    hall.fanout.join(UserId("bob"), GARDEN)
    hall.tells("b")
    hall.fanout.flush(GARDEN)

    assert bob.socket.texts() == [plain("b")]


async def test_without_leaves_a_user_or_a_socket_out(hall):
    alice, bob = hall.connects("alice"), hall.connects("bob")
    second = hall.connects("bob", "bob-2")

    hall.fanout.to_room(GARDEN, "room:typing", {}, without=UserId("alice"))
    hall.fanout.to_users([UserId("bob")], "x", {}, without=SocketId("bob-1"))

    assert alice.socket.texts() == []
    assert bob.socket.texts() == ['2["room:typing",{}]']
    assert second.socket.texts() == ['2["room:typing",{}]', '2["x",{}]']


async def test_polling_sockets_get_the_same_packets(hall):
    bob = hall.connects("bob")
    bob.socket.polling = True
    hall.tells("a")
    hall.tells("b")

    hall.fanout.flush(GARDEN)

    assert bob.socket.texts() == [plain("a"), plain("b")]


async def test_ephemeral_packets_are_dropped_for_a_slow_socket_first(hall):
    bob = hall.connects("bob")
    bob.socket.congested, bob.socket.stuck = True, LIMIT // 2

    hall.fanout.to_room(GARDEN, "room:typing", {}, ephemeral=True)
    hall.tells("a")
    hall.fanout.flush(GARDEN)

    assert bob.socket.texts() == [plain("a")]
    assert hall.metrics.ephemeral_dropped == 1


async def test_a_socket_past_the_bound_is_cut_and_others_go_on(hall):
    slow, bob = hall.connects("slow"), hall.connects("bob")
    slow.socket.congested = True

    for _ in range(20):
        hall.tells("x" * 100)
        hall.fanout.flush(GARDEN)

    assert hall.cut == [slow]
    assert slow.socket.stuck <= LIMIT
    assert len(bob.socket.texts()) == 20


async def test_an_empty_room_costs_nothing(hall):
    hall.tells("a", room=RoomId("empty"))

    assert hall.fanout._batches == {}


async def test_a_busy_room_waits_for_companions_and_an_idle_one_does_not(hall):
    for number in range(20):
        hall.connects(f"user{number}")
    for body in "ab":
        hall.tells(body)
    hall.fanout.flush(GARDEN)

    hall.tells("c")
    waiting = hall.fanout._batches[GARDEN].timer is not None
    hall.fanout.flush(GARDEN)
    hall.tells("d")
    after_one = hall.fanout._batches[GARDEN].timer is not None

    assert (waiting, after_one) == (True, False)
    hall.fanout.flush(GARDEN)
