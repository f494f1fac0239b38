"""Access and refresh tokens: what is accepted, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import base64url, passwords
from crypto.one_time_passwords import as_secret, code_at, matching_step
from crypto.tokens import AccessTokens, BadToken, Claims, RefreshTokens

CLAIMS = Claims("user", "device", "session", 3, 1000)
TOKENS = AccessTokens([bytes(32)])
REFRESH = RefreshTokens(b"k" * 32)


def test_a_signed_token_says_what_was_signed() -> None:
    assert TOKENS.verify(TOKENS.sign(CLAIMS), 999.9) == CLAIMS


def test_a_token_is_over_at_its_expiry() -> None:
    with pytest.raises(BadToken):
        TOKENS.verify(TOKENS.sign(CLAIMS), 1000)


def test_a_token_of_another_key_is_refused() -> None:
    with pytest.raises(BadToken):
        AccessTokens([b"x" * 32]).verify(TOKENS.sign(CLAIMS), 0)


def test_an_older_key_still_verifies_after_a_change_of_keys() -> None:
    changed = AccessTokens([b"x" * 32, bytes(32)])

    assert changed.verify(TOKENS.sign(CLAIMS), 0) == CLAIMS


def test_every_changed_character_is_refused() -> None:
    token = TOKENS.sign(CLAIMS)

    for at, character in enumerate(token):
        changed = token[:at] + ("A" if character != "A" else "B") + token[at + 1 :]
        with pytest.raises(BadToken):
            TOKENS.verify(changed, 0)


def test_a_header_that_says_none_is_refused() -> None:
    header = base64url.encode(b'{"alg":"none"}').decode()
    _, payload, _ = TOKENS.sign(CLAIMS).split(".")

    with pytest.raises(BadToken):
        TOKENS.verify(f"{header}.{payload}.", 0)


@given(st.text(max_size=200))
def test_no_text_makes_a_reader_fail_otherwise(text: str) -> None:
    for read in (lambda: TOKENS.verify(text, 0), lambda: REFRESH.read(text)):
        with pytest.raises(BadToken):
            read()


@given(st.binary(max_size=80))
def test_base64url_has_one_spelling(raw: bytes) -> None:
    text = base64url.encode(raw)

    assert base64url.decode(text) == raw
    for other in (text + b"=", text + b"\n", b" " + text, text + b"A" * (5 - len(text) % 4)):
        if other != text:
            with pytest.raises(ValueError):
                base64url.decode(other + b"*")


@pytest.mark.parametrize("text", [b"A", b"AB==", b"AB", b"A+//", b"A-_\n", b"AAA\xff"])
def test_base64url_refuses_other_spellings(text: bytes) -> None:
    with pytest.raises(ValueError):
        base64url.decode(text)


def test_a_refresh_token_names_its_session_and_generation() -> None:
    assert REFRESH.read(REFRESH.derive("session", 7)) == ("session", 7)


@pytest.mark.parametrize(
    ("old", "new"), [(".7.", ".8."), (".7.", ".07."), ("session", "xession"), (".7.", "..")]
)
def test_a_changed_refresh_token_is_refused(old: str, new: str) -> None:
    with pytest.raises(BadToken):
        REFRESH.read(REFRESH.derive("session", 7).replace(old, new))


def test_a_password_matches_its_hash_in_either_unicode_form_and_no_other_does() -> None:
    stored = passwords.hash_password("caf\u00e9 society")

    assert passwords.verify_password(stored, "cafe\u0301 society")
    assert not passwords.verify_password(stored, "cafe society")
    assert not passwords.needs_rehash(stored)


def test_the_decoy_costs_the_same_and_matches_nothing() -> None:
    decoy = passwords.decoy_hash()

    assert not passwords.verify_password(decoy, "")
    assert not passwords.needs_rehash(decoy)


def test_a_hash_with_weaker_parameters_is_made_anew() -> None:
    assert passwords.needs_rehash(passwords.decoy_hash().replace("t=2", "t=1"))


def test_the_codes_of_rfc_6238_are_made() -> None:
    secret = as_secret(b"12345678901234567890")

    codes = [code_at(secret, second) for second in (59, 1111111109, 2000000000)]

    assert codes == ["287082", "081804", "279037"]


def test_a_code_of_the_step_before_is_taken_and_an_older_one_is_not() -> None:
    secret = as_secret(bytes(20))
    code = code_at(secret, 3000)

    assert matching_step(secret, code, 3059) == 100
    assert matching_step(secret, code, 3060) is None
