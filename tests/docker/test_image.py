"""The image, built from the Dockerfile itself and run as a container engine would run it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest

from tests.support.images import ROOT, Image, programs
from tests.support.servers.base import Missing, Process, free_port, missing, server_folder

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    if os.geteuid() != 0:
        pytest.skip("building images without an engine needs root")
    try:
        programs("buildah", "debootstrap")
    except Missing as why:
        missing("An image builder", str(why))
    built = Image()
    yield built
    built.close()


@pytest.fixture(scope="module")
def served(image: Image) -> Iterator[tuple[Process, str, Path]]:
    """Its process, its address and its folder."""
    with server_folder("image") as folder:
        port = free_port()
        env = {"HUBBUB_SERVER__HOST": "127.0.0.1", "HUBBUB_SERVER__PORT": str(port)}
        process, url = image.serve(folder, env), f"http://127.0.0.1:{port}"
        process.start(lambda: answers(f"{url}/healthz"), within_s=120)
        yield process, url, folder
        process.stop()


def test_it_serves_as_another_user_with_a_read_only_root(
    image: Image, served: tuple[Process, str, Path]
) -> None:
    process, url, folder = served

    status = Path(f"/proc/{process.pid}/status").read_text("ascii")
    root = Path(f"/proc/{process.pid}/root")

    assert image.config["User"] == "10001:10001"
    assert status.partition("Uid:")[2].split()[:4] == ["10001"] * 4
    assert int(status.partition("CapEff:")[2].split()[0], 16) == 0
    assert os.statvfs(root).f_flag & os.ST_RDONLY
    assert (folder / "data" / "hubbub.db").exists()
    assert b"ready" in fetch(f"{url}/readyz")


def test_it_has_the_web_page(served: tuple[Process, str, Path]) -> None:
    _, url, _ = served

    page = fetch(f"{url}/").decode()

    (script,) = re.findall(r'src="([^"]+\.js)"', page)
    assert len(fetch(urljoin(f"{url}/", script))) > 10_000


def test_its_health_check_tells_who_is_alive(
    image: Image, served: tuple[Process, str, Path]
) -> None:
    _, url, folder = served
    kind, *check = image.config["Healthcheck"]["Test"]

    def outcome(port: str) -> int:
        env = {"HUBBUB_SERVER__PORT": port}
        command = image.command(check, env, folder / "data")
        return subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode

    assert kind == "CMD"
    assert outcome(url.rpartition(":")[2]) == 0
    assert outcome(str(free_port())) != 0


def test_it_can_reach_every_store_and_brings_no_tool_to_change_itself(
    image: Image, tmp_path: Path
) -> None:
    look = "import acsylla, asyncpg, redis, hiredis, minio; from importlib import util as u;"
    look += "print(u.find_spec('pip'))"

    done = subprocess.run(
        image.command(["python", "-c", look], {}, tmp_path), capture_output=True, text=True,
        check=False,
    )  # fmt: skip

    assert (done.stdout.strip(), done.stderr) == ("None", "")
    assert not (image.root / "build").exists()


def test_it_brings_every_step_of_every_schema(image: Image) -> None:
    (installed,) = (image.root / "opt/hubbub/lib").glob("python3*/site-packages/storage")

    def steps(storage: Path) -> list[str]:
        found = (path for path in storage.glob("*/migrations/*") if path.suffix in {".sql", ".cql"})
        return sorted(str(path.relative_to(storage)) for path in found)

    assert steps(installed) == steps(ROOT / "storage")


def test_it_listens_to_the_outside_and_keeps_its_data_in_a_volume(image: Image) -> None:
    env = dict(line.split("=", 1) for line in image.config["Env"])

    assert env["HUBBUB_SERVER__HOST"] == "0.0.0.0"
    assert env["HUBBUB_SERVER__DATA"] == "/data"
    assert list(image.config["Volumes"]) == ["/data"]
    assert set(image.config["ExposedPorts"]) == {"8008/tcp", "8008/udp", "8009/tcp"}
    assert image.config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_what_is_added_to_the_base_is_small(image: Image) -> None:
    size = sum(f.lstat().st_size for f in (image.root / "opt/hubbub").rglob("*") if f.is_file())

    # Half of it is FFmpeg, which aiortc brings.
    assert size < 280 * 1024 * 1024, size


def test_it_ends_when_told(served: tuple[Process, str, Path]) -> None:
    process, url, _ = served

    process.signal(signal.SIGTERM)
    give_up = time.monotonic() + 20
    while process.running and time.monotonic() < give_up:
        time.sleep(0.05)

    assert not process.running
    assert not answers(f"{url}/healthz")


def answers(url: str) -> bool:
    try:
        return bool(fetch(url))
    except OSError:
        return False


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=2) as answer:
        body: bytes = answer.read()
        return body
