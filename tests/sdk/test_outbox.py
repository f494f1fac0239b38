"""The SDK's outbox: nothing unacknowledged is lost, order is kept, refusals end."""

from __future__ import annotations

import pytest
from hubbub import errors
from hubbub.ids import ClientIds
from hubbub.journal import FileJournal, MemoryJournal
from hubbub.models import Device, Sent, Session, User
from hubbub.outbox import Command, Done, Failed, Later, Outbox, Renew

SENT = Sent(7, "e7", 0)


def command(name: str, room: str = "garden") -> Command:
    return Command(name, "message:send", room, {"content": {"type": "text", "body": name}})


def names(commands: list[Command]) -> list[str]:
    return [each.client_id for each in commands]


def test_commands_of_a_room_go_one_after_the_other():
    outbox = Outbox([command("a"), command("b"), command("x", "kitchen")])

    first = outbox.ready(0.0)
    outbox.answered(first[0], SENT, 0.0)

    assert names(first) == ["a", "x"]
    assert names(outbox.ready(0.0)) == ["b"]


def test_after_a_break_the_same_command_is_sent_again():
    outbox = Outbox([command("a"), command("b")])
    outbox.ready(0.0)

    outbox.line_broke()

    assert names(outbox.ready(0.0)) == ["a"]


def test_an_acknowledged_command_is_gone():
    outbox = Outbox([command("a")])
    [only] = outbox.ready(0.0)

    verdict = outbox.answered(only, SENT, 0.0)

    assert verdict == Done(only, SENT)
    assert len(outbox) == 0


def test_a_rate_limited_command_waits_and_holds_up_its_room():
    outbox = Outbox([command("a"), command("b")])
    [first] = outbox.ready(0.0)

    verdict = outbox.answered(first, errors.RateLimited("slow", retry_after_s=2.0), 10.0)

    assert verdict == Later(first, "rate_limited")
    assert outbox.ready(11.9) == []
    assert outbox.next_deadline() == 12.0
    assert names(outbox.ready(12.0)) == ["a"]


@pytest.mark.parametrize("kind", [errors.Forbidden, errors.NotFound, errors.Invalid])
def test_a_refusal_for_good_frees_the_room(kind: type[errors.HubbubError]):
    outbox = Outbox([command("a"), command("b")])
    [first] = outbox.ready(0.0)

    verdict = outbox.answered(first, kind("no"), 0.0)

    assert isinstance(verdict, Failed)
    assert names(outbox.ready(0.0)) == ["b"]


def test_a_fault_of_the_server_is_tried_again_a_few_times():
    outbox, tries, now = Outbox([command("a")]), 0, 0.0

    while len(outbox):
        now += 100.0
        [only] = outbox.ready(now)
        tries += 1
        outbox.answered(only, errors.Internal("oops"), now)

    assert tries == 5


def test_an_id_outside_the_window_is_renewed_only_if_it_was_never_sent_before():
    refusal = errors.Invalid("old", field="client_id", data={"now": 5})
    fresh, old = Outbox([command("a")]), Outbox([command("b")])
    [first] = fresh.ready(0.0)
    old.ready(0.0)
    old.line_broke()
    [again] = old.ready(0.0)

    assert isinstance(fresh.answered(first, refusal, 0.0), Renew)
    assert isinstance(old.answered(again, refusal, 0.0), Failed)


def test_client_ids_ascend_by_the_servers_clock():
    ids = ClientIds(lambda: 1_000)

    ids.learn(1_700_000_000_000)
    made = [ids.new() for _ in range(200)]

    assert made == sorted(set(made))
    assert int(made[0].replace("-", "")[:12], 16) == 1_700_000_000_000


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_a_journal_keeps_commands_places_and_the_session(kind: str, tmp_path):
    path = tmp_path / "state"
    journal = MemoryJournal() if kind == "memory" else FileJournal(path)
    session = Session(User("u", "alice", "Alice"), Device("d"), "s", "access", "refresh", 900)
    journal.put(command("a"))
    journal.put(command("b"))
    journal.drop("a")
    journal.keep_cursor("garden", "log", 4)
    journal.keep_session(session)

    if kind == "file":
        journal.close()
        journal = FileJournal(path)

    assert names(journal.commands()) == ["b"]
    assert journal.cursors() == {"garden": ("log", 4)}
    assert journal.session() == session
    assert "access" not in repr(session)
