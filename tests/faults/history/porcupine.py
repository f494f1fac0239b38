"""The independent checker: a Go program around porcupine, built once into the cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tests.support.servers.base import CACHE, apt_install, installing, missing

SOURCE = Path(__file__).parents[1] / "porcupine"
BUILD_S = 600.0
JUDGE_S = 900.0


class RoomVerdict(msgspec.Struct, frozen=True):
    """`result`: Ok, Illegal, or Unknown when the time was over. `where`: in which seqs."""

    room: str
    operations: int
    result: str
    where: str = ""


@dataclass(frozen=True)
class Verdict:
    of: tuple[RoomVerdict, ...]

    @property
    def good(self) -> bool:
        return bool(self.of) and all(room.result == "Ok" for room in self.of)

    @property
    def rooms(self) -> int:
        return len(self.of)

    @property
    def operations(self) -> int:
        return sum(room.operations for room in self.of)

    @property
    def broken_rooms(self) -> list[str]:
        return [room.room for room in self.of if room.result != "Ok"]

    def __str__(self) -> str:
        bad = [f"{r.room}: {r.result} at {r.where}" for r in self.of if r.result != "Ok"]
        return f"porcupine: {self.operations:,} operations of {self.rooms} rooms, bad: {bad or 0}"


def program() -> Path:
    """Where the program is. Built when its sources changed; without Go, as `missing` says."""
    digest = hashlib.sha256()
    for path in sorted(SOURCE.glob("*")):
        digest.update(path.read_bytes())
    target = CACHE / "bin" / f"porcupine-{digest.hexdigest()[:16]}"
    if not target.exists():
        _build(target)
    return target


def _build(target: Path) -> None:
    if shutil.which("go") is None and not apt_install("golang-go", "ca-certificates"):
        missing("Go", "install golang-go")
    with installing("porcupine"):
        target.parent.mkdir(parents=True, exist_ok=True)
        made = target.with_suffix(f".{os.getpid()}")
        subprocess.run(
            ["go", "build", "-trimpath", "-buildvcs=false", "-o", str(made), "."],
            cwd=SOURCE, check=True, timeout=BUILD_S, env={**os.environ, "CGO_ENABLED": "0"},
        )  # fmt: skip
        made.replace(target)


def judge(program: Path, histories: Sequence[Path]) -> Verdict:
    """Raises CalledProcessError when a history cannot be read."""
    done = subprocess.run(
        [str(program), *map(str, histories)], capture_output=True, check=True, timeout=JUDGE_S
    )
    return Verdict(tuple(msgspec.json.decode(done.stdout, type=list[RoomVerdict])))
