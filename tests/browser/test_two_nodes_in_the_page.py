"""Two tabs at two nodes of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.scenarios.two_nodes import TwoNodes, two_nodes
from tests.support.browsing import Person

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[TwoNodes]:
    with two_nodes(tmp_path, HUBBUB_SERVER__DIRECTORY="true") as nodes:
        yield nodes


def test_two_tabs_chat_on_while_a_node_dies_and_comes_back(
    cluster: TwoNodes, person: Callable[..., Person], shots: Path
) -> None:
    alice = person(cluster.nodes[0].base_url, "alice")
    bob = person(cluster.nodes[1].base_url, "bob")
    alice.signs_up()
    bob.signs_up()
    alice.starts_a_chat_with("bob")
    bob.opens("Alice")
    alice.says("are you at the other one?")
    bob.sees_exactly("are you at the other one?")
    bob.says("I am")
    alice.sees_exactly("are you at the other one?", "I am")
    alice.sees_progress("are you at the other one?", "read")

    port = cluster.nodes[0].port
    cluster.nodes[0].kill()
    bob.says("it died")
    bob.sees_progress("it died", "sent")
    alice.says("did it?")
    alice.sees_progress("did it?", "waiting")
    with cluster.start(port=port):
        alice.sees_progress("did it?", "read")
        alice.sees_exactly("are you at the other one?", "I am", "it died", "did it?")
        bob.sees_exactly("are you at the other one?", "I am", "it died", "did it?")
        expect(alice.page.get_by_role("status").filter(has_text="No connection")).to_be_hidden()
        alice.keeps_a_picture(shots / "two-nodes.png")
