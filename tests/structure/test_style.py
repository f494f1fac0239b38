"""What STYLE.md marks as enforced, read from the sources."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOP = ("server", "signaling", "media", "crypto", "push", "storage", "clients/python")
SOURCES = [path for top in TOP for path in sorted((ROOT / top).rglob("*.py"))]
IDS = [str(path.relative_to(ROOT)) for path in SOURCES]
BROAD_EXCEPT = {
    "server/hub/dispatch.py",
    "server/http/answers.py",
    "server/kernel/tasks.py",
    "server/kernel/observers.py",
}
HANDS_ON = {"server/hub/driven.py"}
"""A task's step: what its work raises goes to the one who waits for it, as with asyncio's own."""
FORBIDDEN_NAMES = {"utils", "helpers", "common", "manager", "base"}


@pytest.mark.parametrize("path", SOURCES, ids=IDS)
def test_broad_excepts_stand_only_where_every_fault_ends_and_log(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        broad = isinstance(node, ast.ExceptHandler) and (
            node.type is None
            or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"})
        )
        if not broad:
            continue
        assert isinstance(node, ast.ExceptHandler)
        reraises = any(isinstance(step, ast.Raise) for step in ast.walk(node))
        logs = re.search(r"\blog\.|\b_report\(", ast.unparse(node))
        name = str(path.relative_to(ROOT))

        assert reraises or name in HANDS_ON or (name in BROAD_EXCEPT and logs), node.lineno


@pytest.mark.parametrize("path", SOURCES, ids=IDS)
def test_log_calls_have_an_event_name_and_no_f_string(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "log"):
            continue
        if node.func.attr not in {"debug", "info", "warning", "error", "exception"}:
            continue
        where = f"{path.relative_to(ROOT)}:{node.lineno}"
        first = node.args[0]

        assert isinstance(first, ast.Constant), where
        assert re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", str(first.value)), where
        assert not any(isinstance(part, ast.JoinedStr) for part in ast.walk(node)), where


@pytest.mark.parametrize("path", SOURCES, ids=IDS)
def test_modules_are_nouns_of_the_domain(path: Path) -> None:
    assert path.stem not in FORBIDDEN_NAMES
    assert path.parent.name not in FORBIDDEN_NAMES


def test_every_folder_says_its_purpose() -> None:
    for path in SOURCES:
        if path.name == "__init__.py" and path != ROOT / "server/__init__.py":
            assert ast.get_docstring(ast.parse(path.read_text("utf-8"))), path


def test_the_project_speaks_of_itself_alone() -> None:
    """No machine's path, no package registry's host: in any file that git keeps."""
    hosts = ("pypi." + "org", "registry.npm" + "js", "pythonhosted" + ".org", "crates" + ".io/")
    paths = ("/work/" + "main", "/root" + "/.", "/home" + "/")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.suffix in {".png", ".ico", ".woff2"} or not path.is_file():
            continue
        text = path.read_text("utf-8", errors="replace")
        found = [word for word in (*hosts, *paths) if word in text]

        assert not found, f"{name}: {found}"
