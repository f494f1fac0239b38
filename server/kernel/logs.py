"""Structured logs: an event name, then fields. `Secret` values cannot be printed by accident."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog


class Secret:
    """Holds what must not reach a log, an error text or an answer. `reveal` is the only way out."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(...)"

    def __str__(self) -> str:
        raise TypeError("a Secret is not printed; use reveal() where it is meant")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


def get_logger(name: str) -> Any:
    """A structlog logger: `log.info("message.stored", room_id=..., seq=...)`."""
    return structlog.get_logger(part=name.removeprefix("server."))


def configure_logs(level: str = "info", style: str = "auto") -> None:
    """Send all logs, the standard library's too, to stderr. `style`: json, console, or auto by the
    terminal.
    """
    console = style == "console" or (style == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info
        if not console
        else structlog.processors.StackInfoRenderer(),
    ]
    renderer: Any = (
        # Not rich's tracebacks: they print local variables, and so passwords.
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if console
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
