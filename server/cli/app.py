"""The table of commands and their options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, get_args

import typer

from server.cli.terms import Refused, complain, read_config, say
from server.kernel.config import Config, Role
from server.kernel.errors import AppError

app = typer.Typer(
    name="hubbub", help="A chat server started with one command.", no_args_is_help=True,
    add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
)  # fmt: skip
user = typer.Typer(no_args_is_help=True, help="Accounts, from the operator's side.")
app.add_typer(user, name="user")
bus = typer.Typer(no_args_is_help=True, help="Facts for workers: what waits, what was given up.")
app.add_typer(bus, name="bus")

Data = Annotated[Path | None, typer.Option("--data", help="The data folder.")]
File = Annotated[Path | None, typer.Option("--config", help="A TOML file.")]
Host = Annotated[str | None, typer.Option(help="The address to listen on.")]
Port = Annotated[int | None, typer.Option(help="The port; 0 takes a free one.")]
Limits = Annotated[str, typer.Option(help='"off": no rate limits (loopback only).')]
Workers = Annotated[int | None, typer.Option(help="Processes that share the port.")]
Roles = Annotated[
    str | None, typer.Option("--role", help="hub, api, media, worker (with commas), or all.")
]
Name = Annotated[str, typer.Argument(help="The user name.")]
Letters = Annotated[list[str] | None, typer.Argument(help="Ids, as `bus dead` shows them.")]
Group = Annotated[str | None, typer.Option(help="Of one group of workers only.")]
Every = Annotated[bool, typer.Option("--all", help="All of them (of the group).")]


@app.command()
def serve(
    data: Data = None, host: Host = None, port: Port = None, config: File = None,
    limits: Limits = "on", workers: Workers = None, role: Roles = None,
) -> None:  # fmt: skip
    """Start the server; an empty data folder is enough."""
    from server.cli import serving

    cluster = {"workers": workers, "roles": None if role is None else _roles(role)}
    checked = _config(config, data, host=host, port=port, limits=limits, cluster=cluster)
    raise typer.Exit(serving.serve(checked))


@app.command()
def dev(data: Data = None, port: Port = None, config: File = None, limits: Limits = "on") -> None:
    """Try it out: 127.0.0.1:8008 with Alice, Bob and an echo bot."""
    from server.cli import serving

    serving.dev(_config(config, data, host="127.0.0.1", port=port, limits=limits))


@app.command("check-config")
def check_config(config: File = None, data: Data = None) -> None:
    """Read file and environment and show what is in force, but for secrets."""
    import msgspec

    from server.kernel.config import SECRET_KEYS

    checked = _config(config, data)
    for section, values in msgspec.to_builtins(checked).items():
        say(f"[{section}]")
        for name, value in values.items():
            shown = "***" if name in SECRET_KEYS and value else value
            say(f"{name} = {msgspec.json.encode(shown).decode()}")
        say()


@app.command()
def token(name: Name, data: Data = None, config: File = None) -> None:
    """Print an access token for a user, for scripts."""
    from server.cli import people

    people.mint(_config(config, data), name)


@user.command("add")
def user_add(
    name: Name, admin: bool = False, display_name: str | None = None,
    data: Data = None, config: File = None,
) -> None:  # fmt: skip
    """Make an account; the password is asked for, or read from standard input."""
    from server.cli import people

    people.add(_config(config, data), name, display_name=display_name, admin=admin)


@user.command("passwd")
def user_passwd(name: Name, data: Data = None, config: File = None) -> None:
    """Set a user's password and log him out everywhere."""
    from server.cli import people

    people.set_password(_config(config, data), name)


@user.command("admin")
def user_admin(name: Name, off: bool = False, data: Data = None, config: File = None) -> None:
    """Make a user an administrator, or with --off no longer."""
    from server.cli import people

    people.set_admin(_config(config, data), name, admin=not off)


@user.command("disable")
def user_disable(name: Name, off: bool = False, data: Data = None, config: File = None) -> None:
    """Lock a user out, or with --off let him in again."""
    from server.cli import people

    people.set_disabled(_config(config, data), name, disabled=not off)


@user.command("list")
def user_list(data: Data = None, config: File = None) -> None:
    """All accounts."""
    from server.cli import people

    people.show(_config(config, data))


@bus.command("status")
def bus_status(data: Data = None, config: File = None) -> None:
    """How many facts wait for each group, and how many it gave up."""
    from server.cli import bus as bus_

    bus_.status(_config(config, data))


@bus.command("dead")
def bus_dead(
    group: Group = None, limit: int = 100,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
    data: Data = None, config: File = None,
) -> None:  # fmt: skip
    """The facts that were given up, oldest first, with the reason."""
    from server.cli import bus as bus_

    bus_.dead(_config(config, data), group=group, limit=limit, as_json=as_json)


@bus.command("replay")
def bus_replay(
    ids: Letters = None, group: Group = None, every: Every = False,
    data: Data = None, config: File = None,
) -> None:  # fmt: skip
    """Deliver dead letters again."""
    from server.cli import bus as bus_

    bus_.replay(_config(config, data), ids or [], group=group, every=every)


@bus.command("drop")
def bus_drop(
    ids: Letters = None, group: Group = None, every: Every = False,
    data: Data = None, config: File = None,
) -> None:  # fmt: skip
    """Forget dead letters."""
    from server.cli import bus as bus_

    bus_.drop(_config(config, data), ids or [], group=group, every=every)


@bus.command("leave")
def bus_leave(group: str, data: Data = None, config: File = None) -> None:
    """Forget a group that nobody serves any more, with all that waits for it."""
    from server.cli import bus as bus_

    bus_.leave(_config(config, data), group)


@app.command()
def migrate(data: Data = None, config: File = None) -> None:
    """Bring the data folder to this version (a backup of it is made first)."""
    from server.cli import folder

    folder.migrate(_config(config, data))


@app.command()
def backup(target: Path, data: Data = None, config: File = None) -> None:
    """Copy the data into TARGET while the server runs."""
    from server.cli import folder

    folder.backup(_config(config, data), target)


@app.command()
def restore(
    source: Path, force: bool = False, data: Data = None, config: File = None
) -> None:  # fmt: skip
    """Fill a data folder from a backup; --force puts what is there aside."""
    from server.cli import folder

    folder.restore(_config(config, data), source, force=force)


@app.command()
def rebuild(data: Data = None, config: File = None) -> None:
    """Remake everything derived from the logs (the server must be stopped)."""
    from server.cli import folder

    folder.rebuild(_config(config, data))


@app.command()
def renew(data: Data = None, config: File = None) -> None:
    """After a restore of a cluster's stores: clients start anew (no server may run)."""
    from server.cli import folder

    folder.renew(_config(config, data))


@app.command()
def doctor(data: Data = None, port: Port = None, config: File = None) -> None:
    """Look for what is wrong and say what to do."""
    from server.cli import doctor as doctor_

    raise typer.Exit(doctor_.examine(_config(config, data, port=port)))


@app.command()
def chat(url: Annotated[str, typer.Argument()] = "http://127.0.0.1:8008") -> None:
    """Chat in this terminal."""
    from hubbub.terminal import main

    main(url)


@app.command("version")
def show_version() -> None:
    """The program's version."""
    from importlib.metadata import version

    say(version("hubbub"))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code."""
    try:
        app(list(arguments))
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    except Refused as refused:
        complain(str(refused))
        return 1
    except AppError as refused:
        complain(refused.text)
        return 1
    return 0


def _config(
    path: Path | None, data: Path | None, *, host: str | None = None, port: int | None = None,
    limits: str = "on", cluster: Mapping[str, object] | None = None,
) -> Config:  # fmt: skip
    if limits not in ("on", "off"):
        raise Refused(f'--limits is "on" or "off", not {limits!r}.')
    return read_config(
        path, limits_off=limits == "off", data=None if data is None else str(data),
        host=host, port=port, cluster=cluster,
    )  # fmt: skip


def _roles(text: str) -> list[str]:
    roles = [role.strip() for role in text.split(",")]
    for role in roles:
        if role not in get_args(Role):
            raise Refused(f"--role {role!r} is none of {', '.join(get_args(Role))}.")
    return roles
