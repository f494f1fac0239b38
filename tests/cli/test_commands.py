"""The command line as an operator meets it: clear texts, no traceback for his mistakes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.support.process import ROOT, start_server


def hubbub(*arguments: str, typed: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "server.main", *arguments],
        cwd=ROOT, input=typed, capture_output=True, text=True, timeout=30, env=environ, check=False,
    )  # fmt: skip


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return done.stderr


def test_check_config_shows_what_is_in_force():
    done = hubbub("check-config", HUBBUB_LIMITS__SIGNUP_PER_H="1000")

    assert done.returncode == 0
    assert "signup_per_h = 1000" in done.stdout


def test_an_unknown_key_is_an_error_with_a_suggestion():
    text = refusal(hubbub("check-config", HUBBUB_LIMITS__SIGNUP_PERH="1"))

    assert "did you mean 'signup_per_h'?" in text


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    text = refusal(hubbub("check-config", "--config", str(tmp_path / "none.toml")))

    assert "none.toml: cannot be read" in text


def test_limits_off_is_refused_where_strangers_could_come():
    text = refusal(hubbub("serve", "--limits", "off", "--host", "0.0.0.0"))

    assert "for load tests on loopback" in text


def test_an_unknown_command_is_named():
    assert "No such command 'sevre'" in refusal(hubbub("sevre"))


@pytest.mark.slow
def test_a_user_is_added_listed_and_locked_out(tmp_path: Path):
    data = ("--data", str(tmp_path / "data"))

    added = hubbub("user", "add", "carol", "--admin", *data, typed="correct horse\n")
    hubbub("user", "disable", "carol", *data)
    shown = hubbub("user", "list", *data)

    assert added.stdout == "carol can log in.\n"
    assert "carol" in shown.stdout
    assert "admin disabled" in shown.stdout


@pytest.mark.slow
def test_a_second_account_of_the_same_name_is_refused(tmp_path: Path):
    data = ("--data", str(tmp_path / "data"))
    hubbub("user", "add", "carol", *data, typed="correct horse\n")

    text = refusal(hubbub("user", "add", "carol", *data, typed="correct horse\n"))

    assert "taken" in text.lower()


@pytest.mark.slow
def test_a_backup_is_restored_into_another_folder(tmp_path: Path):
    old, new, copy = (str(tmp_path / name) for name in ("old", "new", "copy.db"))
    hubbub("user", "add", "carol", "--data", old, typed="correct horse\n")

    saved = hubbub("backup", copy, "--data", old)
    filled = hubbub("restore", copy, "--data", new)
    shown = hubbub("user", "list", "--data", new)

    assert (saved.returncode, filled.returncode) == (0, 0)
    assert "carol" in shown.stdout


def test_commands_on_a_folder_that_is_not_there_say_so(tmp_path: Path):
    text = refusal(hubbub("rebuild", "--data", str(tmp_path / "nowhere")))

    assert "There is no data folder" in text


@pytest.mark.slow
def test_a_folder_that_cannot_be_made_is_explained(tmp_path: Path):
    (tmp_path / "file").write_text("")

    text = refusal(hubbub("serve", "--port", "0", "--data", str(tmp_path / "file" / "data")))

    assert "cannot be made" in text


@pytest.mark.slow
def test_a_token_minted_beside_a_running_server_is_good_there(tmp_path: Path):
    with start_server(tmp_path / "data") as server:
        data = ("--data", str(tmp_path / "data"))
        added = hubbub("user", "add", "carol", *data, typed="correct horse\n")

        minted = hubbub("token", "carol", *data)
        ended = hubbub("user", "disable", "carol", *data)
        me = Request(
            f"{server.base_url}/api/v1/me",
            headers={"Authorization": f"Bearer {minted.stdout.strip()}"},
        )

        assert added.returncode == 0
        assert json.load(urlopen(me))["username"] == "carol"
        assert "is in use by another hubbub" in refusal(ended)


@pytest.mark.slow
def test_a_port_in_use_is_explained(tmp_path: Path):
    with start_server(tmp_path / "one") as server:
        other = ("--data", str(tmp_path / "two"), "--port", str(server.port))

        text = refusal(hubbub("serve", *other))

    assert "is in use by another program" in text


@pytest.mark.slow
def test_a_server_for_strangers_prints_a_link_until_it_has_an_administrator(tmp_path: Path):
    invite = {"HUBBUB_SERVER__REGISTRATION": "invite"}
    with start_server(tmp_path / "data", env=invite) as server:
        assert server.process.stdout is not None
        first = server.process.stdout.readline()
        data = ("--data", str(tmp_path / "data"))
        hubbub("user", "add", "carol", "--admin", *data, typed="correct horse\n")
    with start_server(tmp_path / "data", env=invite) as server:
        server.process.terminate()
        assert server.process.stdout is not None
        second = server.process.stdout.read()

    assert "The first administrator signs up here" in first
    assert "http" not in second
