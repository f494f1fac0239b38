"""Settings of the bus are refused with what to write instead."""

from __future__ import annotations

import pytest

from server.kernel.config import ConfigError, load_config


def refusal(**bus: object) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(environ={}, overrides={"bus": bus})
    return str(caught.value)


@pytest.mark.parametrize(
    "url", ["example.org/hook", "ftp://example.org", "https://", "http://[::1"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    text = refusal(webhook_url=url, webhook_secret="s")

    assert "must begin with https:// or http:// and name a host" in text


def test_a_hook_without_a_secret_is_refused() -> None:
    assert "bus.webhook_secret" in refusal(webhook_url="https://example.org/hook")


@pytest.mark.parametrize("name", ["attempts", "waiting", "dead"])
def test_bounds_are_at_least_one(name: str) -> None:
    assert "must be at least 1" in refusal(**{name: 0})


def test_a_hook_with_a_secret_is_taken() -> None:
    hook = {"webhook_url": "http://10.0.0.7:9000/hook?x=1", "webhook_secret": "s"}

    assert load_config(environ={}, overrides={"bus": hook}).bus.webhook_secret == "s"
