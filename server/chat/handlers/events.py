"""The socket events of chat (PROTOCOL section 2)."""

from __future__ import annotations

from server.chat.service import Chat
from server.chat.shapes import (
    DeleteMessage,
    EditMessage,
    React,
    ReceiptView,
    SendMessage,
    SetReceipt,
    SetTyping,
    Stored,
    Sync,
    Synced,
)
from server.kernel.events import Context, EventTable

events = EventTable()


@events.on("message:send", SendMessage, rate="send")
async def send_message(ctx: Context, cmd: SendMessage, chat: Chat) -> Stored:
    return await chat.send(ctx, cmd)


@events.on("message:edit", EditMessage, rate="send")
async def edit_message(ctx: Context, cmd: EditMessage, chat: Chat) -> Stored:
    return await chat.edit(ctx, cmd)


@events.on("message:delete", DeleteMessage, rate="send")
async def delete_message(ctx: Context, cmd: DeleteMessage, chat: Chat) -> Stored:
    return await chat.delete(ctx, cmd)


@events.on("reaction:add", React, rate="send")
async def add_reaction(ctx: Context, cmd: React, chat: Chat) -> Stored:
    return await chat.react(ctx, cmd, add=True)


@events.on("reaction:remove", React, rate="send")
async def remove_reaction(ctx: Context, cmd: React, chat: Chat) -> Stored:
    return await chat.react(ctx, cmd, add=False)


@events.on("receipt:set", SetReceipt)
async def set_receipt(ctx: Context, cmd: SetReceipt, chat: Chat) -> ReceiptView:
    return await chat.set_receipt(ctx, cmd)


@events.on("typing:set", SetTyping)
async def set_typing(ctx: Context, cmd: SetTyping, chat: Chat) -> dict[str, object]:
    await chat.set_typing(ctx, cmd)
    return {}


@events.on("sync", Sync)
async def sync(ctx: Context, cmd: Sync, chat: Chat) -> Synced:
    return await chat.sync(ctx, cmd)
