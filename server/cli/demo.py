"""The cast of `hubbub dev`: Alice, Bob, a room for both, and a bot that answers."""

from __future__ import annotations

from hubbub import Client
from hubbub.calls.media import installed as calls_installed
from hubbub.models import Session

from server.accounts.shapes import Session as MadeSession
from server.cli.echo import EchoBot
from server.cli.terms import say
from server.compose import Server
from server.kernel import json
from server.kernel.tasks import TaskOwner

ROOM = "Lobby"

_tasks = TaskOwner("demo")
_bots: list[EchoBot] = []


async def start(server: Server) -> None:
    """Make who and what is missing, start the bot, print the links."""
    operator = server.accounts.operator
    for name in ("alice", "bob", "echo"):
        await operator.ensure_user(name, display_name=name.capitalize())
    bot_session = _session(await operator.mint("echo", device_name="echo bot"))
    await _furnish(server)
    bot = EchoBot(server.url, bot_session, _tasks)
    await bot.start()
    _bots.append(bot)
    for name in ("alice", "bob"):
        link = await operator.login_link(server.url, name, uses=100)
        say(f"{name.capitalize():>5}: {link}")
    say("Open each in a tab of its own. Echo answers direct messages.")
    if bot.hears_calls and calls_installed():
        say("Call Echo: what you say comes back.")
    elif bot.hears_calls:
        say("Echo takes no calls here: that needs pip install 'hubbub[calls]'.")


async def stop() -> None:
    await _tasks.close()
    while _bots:
        await _bots.pop().stop()


async def _furnish(server: Server) -> None:
    """Rooms are made over the wire, as anybody would; both have the bot in their list."""
    operator = server.accounts.operator
    ids = {name: (await operator.user(name)).id for name in ("bob", "echo")}
    async with Client(server.url) as alice:
        alice.resume(_session(await operator.mint("alice", device_name="dev")))
        await alice.connect()
        await alice.direct(ids["echo"])
        await alice.direct(ids["bob"])
        if not any(room.info.name == ROOM for room in alice.rooms.values()):
            room = await alice.create_room(name=ROOM, member_ids=list(ids.values()))
            await room.send("Welcome! Write “echo, are you there?” and see who answers.")
        await alice.log_out()
    async with Client(server.url) as bob:
        bob.resume(_session(await operator.mint("bob", device_name="dev")))
        await bob.direct(ids["echo"])
        await bob.log_out()


def _session(made: MadeSession) -> Session:
    """The accounts part's session as the SDK has it: both are the wire's shape."""
    import msgspec

    return msgspec.json.decode(json.encode(made), type=Session)
