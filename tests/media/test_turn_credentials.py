"""Who may allocate: RFC 8489, section 9.2, and tickets that expire."""

from __future__ import annotations

import pytest

from media.turn import exchange as x
from media.turn.credentials import Credentials, ticket_password
from media.wire import attributes as a
from media.wire.stun import ALLOCATE, REFRESH, Message
from server.kernel.logs import Secret
from tests.support.turn_house import SECRET, UDP, UNIX_S, Client, TurnHouse, code_of


def challenged(answer: Message) -> bool:
    return a.NONCE in answer.attributes and a.REALM in answer.attributes


def test_a_request_without_a_credential_is_challenged() -> None:
    answer = TurnHouse().client().unsigned(ALLOCATE, UDP)

    assert code_of(answer) == 401
    assert answer.get(a.REALM) == b"hubbub"
    assert answer.get(a.PASSWORD_ALGORITHMS) == a.ALGORITHMS
    assert a.decode_features(answer.attributes[a.NONCE]) == a.FEATURE_ALGORITHMS


def test_a_fixed_account_may_allocate() -> None:
    client = TurnHouse().client(username="fixed", password="open sesame")

    assert code_of(client.allocate()) is None


def test_the_password_of_a_ticket_is_the_hmac_of_its_name() -> None:
    # Computed by: printf %s 1800003600:anna | openssl dgst -sha1 -hmac secret -binary | base64
    assert ticket_password(Secret("secret"), "1800003600:anna") == "QrWXOfhLm7BfsKvGoCWCtsKJnjQ="


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("fixed", "wrong"),
        ("nobody", "open sesame"),
        (f"{UNIX_S + 60}:anna", "foreign"),
        (f"{UNIX_S}:anna", None),
        (f"{UNIX_S - 1}:anna", None),
        (f"{UNIX_S + 60}", None),
        (f"{UNIX_S + 60}:", None),
        (":anna", None),
        ("-1:anna", None),
        ("9" * 400 + ":anna", None),
        ("\u0661\u0662\u0663" * 4 + ":anna", None),
        ("x" * 600, "open sesame"),
    ],
)
def test_a_foreign_or_expired_credential_is_challenged_again(
    username: str, password: str | None
) -> None:
    house = TurnHouse()
    client = house.client(username=username, password=password or ticket_password(SECRET, username))

    answer = client.allocate()

    assert code_of(answer) == 401
    assert challenged(answer)
    assert house.server.allocations == 0


def test_while_a_secret_is_replaced_both_are_good() -> None:
    old = Secret("old")
    house = TurnHouse(secrets=(SECRET, old))
    username = f"{UNIX_S + 60}:anna"

    client = house.client(username=username, password=ticket_password(old, username))

    assert code_of(client.allocate()) is None


def test_an_allocation_can_be_refreshed_after_its_ticket_expired_but_not_made_anew() -> None:
    house = TurnHouse(nonce_s=5_000)
    client = house.client(expires_s=300)
    client.allocate()

    house.passes(400)

    assert code_of(client.refresh()) is None
    assert code_of(client.refresh((a.LIFETIME, bytes(4)))) is None
    assert code_of(client.allocate()) == 401


def test_another_user_cannot_touch_an_allocation() -> None:
    house = TurnHouse()
    client = house.client(user="anna")
    client.allocate()

    thief = Client(house, client.flow, user="eve")

    assert code_of(thief.refresh((a.LIFETIME, bytes(4)))) == 441
    assert house.server.allocations == 1


@pytest.mark.parametrize("missing", [a.USERNAME, a.REALM, a.NONCE])
def test_an_incomplete_credential_is_a_bad_request(missing: int) -> None:
    client = TurnHouse().client()
    client.challenge()
    given = {
        a.USERNAME: client.username.encode(), a.REALM: b"hubbub", a.NONCE: client.nonce,
        a.MESSAGE_INTEGRITY: bytes(20),
    }  # fmt: skip
    del given[missing]

    answer = client.unsigned(ALLOCATE, UDP, *given.items())

    assert code_of(answer) == 400
    assert not challenged(answer)


def test_another_realm_is_challenged() -> None:
    client = TurnHouse().client()
    client.realm = "elsewhere"

    assert code_of(client.allocate()) == 401


def test_an_answer_is_signed_as_its_request_was() -> None:
    client = TurnHouse().client()
    key = a.long_term_key(a.MD5, username=client.username, realm="hubbub", password=client.password)

    assert client.allocate().proves_sha1(key)
    assert client.ask(0x008).proves_sha1(key)


def test_sha256_is_used_by_clients_that_know_it() -> None:
    client = TurnHouse().client()
    client.sha256 = True
    key = a.long_term_key(
        a.SHA256, username=client.username, realm="hubbub", password=client.password
    )

    answer = client.allocate()

    assert code_of(answer) is None
    assert answer.proves_sha256(key)


@pytest.mark.parametrize(
    "attributes",
    [
        [(a.PASSWORD_ALGORITHMS, a.ALGORITHMS)],
        [(a.PASSWORD_ALGORITHM, b"\0\2\0\0")],
        [(a.PASSWORD_ALGORITHMS, b"\0\1\0\0"), (a.PASSWORD_ALGORITHM, b"\0\1\0\0")],
        [(a.PASSWORD_ALGORITHMS, a.ALGORITHMS), (a.PASSWORD_ALGORITHM, b"\0\7\0\0")],
        [(a.PASSWORD_ALGORITHMS, a.ALGORITHMS), (a.PASSWORD_ALGORITHM, b"\0\2")],
    ],
)
def test_a_bid_down_of_the_algorithms_is_a_bad_request(
    attributes: list[tuple[int, bytes]],
) -> None:
    assert code_of(TurnHouse().client().ask(ALLOCATE, UDP, *attributes)) == 400


def test_a_fixed_user_may_be_named_by_hash() -> None:
    client = TurnHouse().client(username="fixed", password="open sesame")
    client.hashed = True

    assert code_of(client.allocate()) is None


def test_a_ticket_may_be_named_by_hash_once_it_was_told() -> None:
    house = TurnHouse(anonymity=True)
    client = house.client()
    client.hashed = True

    assert code_of(client.allocate()) == 401
    house.give(x.TicketIssued(client.username))

    assert code_of(client.allocate()) is None
    features = a.decode_features(client.nonce)
    assert features == a.FEATURE_ALGORITHMS | a.FEATURE_ANONYMITY


def test_of_too_many_tickets_the_oldest_is_forgotten() -> None:
    credentials = Credentials("r", secrets=(SECRET,), users={}, tickets=2)

    for name in ("1:a", "2:b", "3:c"):
        credentials.issued(name)

    assert credentials.name_of(None, a.userhash("1:a", "r")) is None
    assert credentials.name_of(None, a.userhash("3:c", "r")) == "3:c"


def test_an_old_nonce_is_stale_and_the_new_one_is_good() -> None:
    house = TurnHouse()
    client = house.client()
    client.allocate()
    client.refresh((a.LIFETIME, (3_600).to_bytes(4, "big")))

    house.passes(601)
    answer = client.refresh()
    client.nonce = answer.attributes[a.NONCE]

    assert code_of(answer) == 438
    assert challenged(answer)
    assert code_of(client.refresh()) is None


@pytest.mark.parametrize(
    "nonce", [b"", b"obMatJos2", b"obMatJos2AAAB", b"obMatJos2AAAB!!!", bytes(40)]
)
def test_a_nonce_that_is_not_ours_is_stale(nonce: bytes) -> None:
    client = TurnHouse().client()
    client.challenge()
    client.nonce = nonce + b"?"

    assert code_of(client.ask(ALLOCATE, UDP)) == 438


def test_a_nonce_of_another_client_is_stale() -> None:
    house = TurnHouse()
    first, second = house.client(port=1), house.client(port=2)
    first.challenge()

    second.nonce = first.nonce

    assert code_of(second.allocate()) == 438


def test_a_user_who_is_revoked_loses_all_allocations() -> None:
    house = TurnHouse()
    house.client(port=1, user="anna").allocate()
    house.client(port=2, user="anna", expires_s=99).allocate()
    house.client(port=3, user="bert").allocate()

    house.give(x.UserRevoked("anna"))

    assert [one.user_id for one in house.closed] == ["anna", "anna"]
    assert house.server.allocations == 1


def test_tickets_of_before_a_revocation_are_no_good_and_later_ones_are() -> None:
    house = TurnHouse()
    before = house.client(port=1, user="anna", expires_s=3600)
    before.allocate()

    house.give(x.UserRevoked("anna", UNIX_S + 3600))

    assert code_of(house.client(port=2, user="anna", expires_s=3600).allocate()) == 401
    assert code_of(house.client(port=3, user="anna", expires_s=3601).allocate()) is None
    assert code_of(house.client(port=4, user="bert", expires_s=3600).allocate()) is None


def test_no_secret_shows_in_what_is_printed() -> None:
    house = TurnHouse()
    client = house.client()
    client.allocate()

    [allocation] = house.server._tables.flows.values()

    assert client.password not in repr(allocation.account)
    assert "sesame" not in repr(house.settings)


def test_a_request_on_nothing_is_a_mismatch_only_with_a_credential() -> None:
    client = TurnHouse().client()

    assert code_of(client.unsigned(REFRESH)) == 401
    assert code_of(client.refresh()) == 437
