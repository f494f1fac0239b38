"""What operators and browsers see: health, metrics, the page, OpenAPI."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from server.http.metrics import Counts
from server.kernel.limits import Buckets, Windows
from server.kernel.peer import TrustedProxies, limit_key, peer_address
from tests.support.accounts_house import House, open_house


class OneHistogram:
    def snapshot(self) -> tuple[tuple[float, ...], tuple[int, ...], float]:
        return (0.1, 1.0), (2, 1, 1), 3.5


@dataclass
class Counted:
    connections: int = 4
    sends: int = 9
    ack_s: OneHistogram = field(default_factory=OneHistogram)


async def test_readiness_names_the_part_that_cannot_serve(house: House) -> None:
    async with house.client.get("/readyz") as response:
        assert (response.status, await response.json()) == (
            200, {"ready": True, "parts": {"store": {"ok": True}}},
        )  # fmt: skip

    house.store.outage = True

    async with house.client.get("/readyz") as response:
        answer = await response.json()
    assert response.status == 503
    assert answer["ready"] is False
    assert answer["parts"]["store"]["ok"] is False
    assert answer["parts"]["store"]["detail"]
    async with house.client.get("/healthz") as response:
        assert response.status == 200


async def test_metrics_show_what_the_parts_count_and_the_loops_lag() -> None:
    house = await open_house(metrics=[Counts("hub_", Counted(), gauges=["connections"])])
    try:
        async with house.client.get("/metrics") as response:
            text = await response.text()

        assert "hubbub_hub_connections 4.0" in text
        assert "hubbub_hub_sends_total 9.0" in text
        assert 'hubbub_hub_ack_seconds_bucket{le="1.0"} 3.0' in text
        assert "hubbub_hub_ack_seconds_count 4.0" in text
        assert "hubbub_loop_lag_seconds_sum" in text
    finally:
        await house.close()


async def test_metrics_are_hidden_from_what_is_forwarded_for_somebody(house: House) -> None:
    headers = {"X-Forwarded-For": "203.0.113.9"}

    async with house.client.get("/metrics", headers=headers) as response:
        assert response.status == 404


async def test_the_page_its_assets_and_its_routes_are_served(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<p>hi")
    (tmp_path / "assets" / "app-1a2b3c4d.js").write_text("1")
    house = await open_house(web_root=tmp_path)
    try:
        async with house.client.get("/") as page:
            assert await page.text() == "<p>hi"
        async with house.client.get("/assets/app-1a2b3c4d.js") as asset:
            pass
        async with house.client.get("/rooms/5", headers={"Accept": "text/html"}) as route:
            assert await route.text() == "<p>hi"
        same = {"If-None-Match": page.headers["ETag"]}
        async with house.client.get("/", headers=same) as unchanged:
            pass
        async with house.client.get("/..%2f..%2fetc/passwd") as outside:
            pass

        assert "script-src 'self'" in page.headers["Content-Security-Policy"]
        assert page.headers["Cache-Control"] == "no-cache"
        assert "immutable" in asset.headers["Cache-Control"]
        assert asset.headers["Content-Type"].startswith("text/javascript")
        assert unchanged.status == 304
        assert outside.status == 404
    finally:
        await house.close()


async def test_openapi_lists_every_call_with_its_errors(house: House) -> None:
    async with house.client.get("/api/v1/openapi.json") as response:
        document = await response.json()

    login = document["paths"]["/api/v1/sessions"]["post"]
    assert document["openapi"] == "3.1.0"
    assert "security" not in login
    assert document["paths"]["/api/v1/me"]["patch"]["security"] == [{"bearer": []}]
    assert {"201", "400", "401", "429"} <= set(login["responses"])
    assert [p["name"] for p in document["paths"]["/api/v1/users"]["get"]["parameters"]] == [
        "query", "limit",
    ]  # fmt: skip


def test_the_forwarded_address_counts_only_from_trusted_proxies() -> None:
    trusted = TrustedProxies(["10.0.0.0/8", "::1"])

    assert peer_address("192.0.2.1", ["1.1.1.1"], trusted) == "192.0.2.1"
    assert peer_address("10.0.0.1", ["1.1.1.1, 2.2.2.2"], trusted) == "2.2.2.2"
    assert peer_address("10.0.0.1", ["1.1.1.1", "2.2.2.2, 10.9.9.9"], trusted) == "2.2.2.2"
    assert peer_address("::1", ["[2001:db8::5]:443"], trusted) == "2001:db8::5"
    assert peer_address("10.0.0.1", ["1.1.1.1, junk"], trusted) == "10.0.0.1"
    assert peer_address("::ffff:10.0.0.1", ["1.1.1.1"], trusted) == "1.1.1.1"
    assert limit_key("2001:db8::5") == limit_key("2001:db8::6") == "2001:db8::/64"


def test_a_bucket_refuses_past_its_burst_and_forgets_the_oldest_key() -> None:
    buckets = Buckets(2.0, 2, max_keys=2)

    answers = [buckets.take("a", 0.0) for _ in range(3)]

    assert answers == [0.0, 0.0, 0.5]
    assert buckets.take("a", 0.5) == 0.0
    buckets.take("b", 0.5)
    buckets.take("c", 0.5)
    assert len(buckets) == 2
    assert Buckets(0, 0).take("a", 0.0) == 0.0


def test_a_window_lets_as_many_through_in_any_second_and_forgets_the_oldest_key() -> None:
    windows = Windows(2, max_keys=2)

    assert [windows.take("a", now) for now in (0.0, 0.75, 0.875, 1.0, 1.5, 1.75)] == [
        True, True, False, True, False, True,
    ]  # fmt: skip
    windows.take("b", 1.75)
    windows.take("a", 1.75)
    windows.take("c", 1.75)
    assert len(windows) == 2
    assert not windows.take("a", 1.75)
    assert all(Windows(0).take("a", 0.0) for _ in range(100))
