"""How commands speak with a person: plain lines, clear refusals, no traceback for his mistakes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from server.kernel.config import Config, ConfigError, is_loopback, load_config


class Refused(Exception):
    """The command cannot be done; the text says why and what to do instead."""


def say(text: str = "") -> None:
    """A line to standard output, at once (a supervisor reads addresses from it)."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    sys.stderr.write(f"hubbub: {text}\n")
    sys.stderr.flush()


def read_config(
    path: Path | None,
    *,
    limits_off: bool = False,
    cluster: Mapping[str, Any] | None = None,
    **server: Any,
) -> Config:
    """File, environment, then the command line's `cluster` and `server` settings (None: not given).

    Raises:
        Refused: the configuration is wrong, or limits are off where strangers could come.
    """
    overrides: dict[str, Any] = {
        "server": {name: value for name, value in server.items() if value is not None},
        "cluster": {name: value for name, value in (cluster or {}).items() if value is not None},
    }
    if limits_off:
        from server.kernel.config import NO_LIMITS

        overrides["limits"] = dict(NO_LIMITS)
    try:
        config = load_config(path, overrides=overrides)
    except ConfigError as error:
        raise Refused(str(error)) from None
    if limits_off and not is_loopback(config.server.host):
        raise Refused(
            f"--limits off is for load tests on loopback, not for {config.server.host}. "
            "Leave it out, or use --host 127.0.0.1."
        )
    return config
