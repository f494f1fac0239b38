"""What the server writes to its log names no secret, body, address or e-mail."""

from __future__ import annotations

import json
import re

import pytest
from hubbub import Client
from hubbub.errors import HubbubError

from tests.scenarios.conftest import PASSWORD, Come

pytestmark = pytest.mark.slow

ADDRESS = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])|\[?::1\]?")
EMAIL = re.compile(r"[\w.]+@[\w.]+\.\w+")
BODY = "zebra-crossing-at-midnight"


async def test_no_log_line_has_a_secret_a_body_an_address_or_an_email(server, come: Come):
    alice = await come()
    room = await alice.client.create_room(name="quarantine-room-name")
    await room.send(BODY)
    async with Client(server.base_url) as client:
        with pytest.raises(HubbubError):
            await client.log_in(alice.name, "wrong-password-of-mine")
        session = await client.sign_up("mallory", PASSWORD, email="mallory@example.org")
        await client.connect()
        with pytest.raises(HubbubError):
            await client.request("message:send", {"room_id": room.id, "body": BODY})
    secrets = [BODY, PASSWORD, "wrong-password", session.access_token, session.refresh_token]

    text = server.log_path.read_text()

    for line in text.splitlines():
        json.loads(line)
        assert not [secret for secret in secrets if secret in line]
        assert not ADDRESS.search(line), line
        assert not EMAIL.search(line), line
