"""Who may import whom (DESIGN section 4), and where each library lives: read from the sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOP = ("server", "signaling", "media", "crypto", "push", "storage")

PARTS = {"server.chat", "server.accounts", "server.files", "server.presence", "server.bus"}
MAY_IMPORT: dict[str, set[str]] = {
    "server.kernel": set(),
    "crypto": {"server.kernel"},
    "storage": {"server.kernel"},
    "media": {"server.kernel"},
    "signaling": {"server.kernel", "media.api", "storage.api"},
    "push": {"server.kernel", "storage.api", "crypto"},
    **{part: {"server.kernel", "storage.api", "crypto"} for part in PARTS},
    "server.hub": {"server.kernel", "storage.api"},
    "server.nodes": {"server.kernel", "storage.api"},
    "server.http": {"server.kernel", "storage.api"},
}
EVERYTHING = ("server.compose", "server.main", "server.cli")

HOMES: dict[str, tuple[str, ...]] = {
    "nacl": ("crypto",),
    "argon2": ("crypto",),
    "apsw": ("storage.sqlite",),
    "asyncpg": ("storage.postgres",),
    "cassandra": ("storage.cassandra",),
    "acsylla": ("storage.cassandra",),
    "redis": ("storage.redis",),
    "hiredis": ("storage.redis",),
    "minio": ("storage.s3",),
    "aiortc": ("media",),
    "OpenSSL": ("media",),
    "pylibsrtp": ("media",),
    "ifaddr": ("media",),
    "socketio": ("server.hub",),
    "engineio": ("server.hub",),
    "aiohttp": (
        "server.http",
        "server.hub.transport",
        "server.compose",
        "server.cli",
        "server.kernel.outbound",
    ),
    "prometheus_client": ("server.http",),
    "typer": ("server.cli", "server.main"),
    "rich": ("server.cli", "server.main"),
}


def modules() -> Iterator[tuple[str, Path]]:
    for top in TOP:
        for path in sorted((ROOT / top).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__"), path


def imports(name: str, path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import, line {node.lineno}"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def package_of(name: str) -> str | None:
    return next((package for package in MAY_IMPORT if within(name, package)), None)


ALL = list(modules())


@pytest.mark.parametrize(("name", "path"), ALL, ids=[name for name, _ in ALL])
def test_a_module_imports_only_what_the_table_allows(name: str, path: Path) -> None:
    package = package_of(name)
    if package is None:
        assert name == "server" or any(within(name, free) for free in EVERYTHING), name
        return

    ours = {used for used in imports(name, path) if used.split(".")[0] in TOP}

    for used in ours - {"server"}:
        allowed = within(used, package) or any(within(used, other) for other in MAY_IMPORT[package])
        # `from storage import api` names the folder first.
        assert allowed or any(other.startswith(used + ".") for other in MAY_IMPORT[package]), (
            f"{name} imports {used}"
        )


@pytest.mark.parametrize(("name", "path"), ALL, ids=[name for name, _ in ALL])
def test_a_library_is_imported_only_at_home(name: str, path: Path) -> None:
    for used in imports(name, path):
        homes = HOMES.get(used.split(".")[0])

        assert homes is None or any(within(name, home) for home in homes), f"{name}: {used}"
