"""The gateway refuses unknown host names, and changes by pages of other sites."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gateway.http.host_check import HostCheck, names_of
from lookstream.settings import Settings
from lookstream.wiring import gateway as wiring
from lookstream.wiring.gateway import resolved

PUBLIC = "https://shop.example:8443/photos"
NAMES = names_of("127.0.0.1", PUBLIC)


def hello(_: Request) -> Response:
    return PlainTextResponse("hello")


async def answer(
    names: frozenset[str] | None,
    method: str,
    headers: dict[str, str] | list[tuple[str, str]],
    path: str = "/",
) -> tuple[int, str]:
    app = Starlette(routes=[Route("/{path:path}", hello, methods=["GET", "POST", "PUT", "DELETE"])])
    transport = httpx.ASGITransport(HostCheck(app, names, PUBLIC))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as http:
        answer = await http.request(method, path, headers=headers)
    problem = answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"] if problem else answer.text


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "localhost", "LOCALHOST:1", "[::1]:8000", "shop.example"]
)
async def test_it_is_known_by_its_names(host: str) -> None:
    assert await answer(NAMES, "POST", {"Host": host}) == (200, "hello")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "host", ["evil.example:8000", "127.0.0.1.evil.example", "0.0.0.0:8000", "", "[::1", "10.0.0.7"]
)
async def test_a_page_under_a_name_of_its_own_reads_nothing(method: str, host: str) -> None:
    assert await answer(NAMES, method, {"Host": host}) == (421, "host-not-allowed")
    assert await answer(None, method, {"Host": host}) == (200, "hello")


@pytest.mark.parametrize(
    ("host", "public_url", "names"),
    [
        ("0.0.0.0", "http://127.0.0.1:8000", {"127.0.0.1", "localhost", "::1", "0.0.0.0"}),
        (
            "0.0.0.0",
            "https://Shop.example",
            {"127.0.0.1", "localhost", "::1", "0.0.0.0", "shop.example"},
        ),
        ("0.0.0.0", "", None),
        ("localhost", "", {"127.0.0.1", "localhost", "::1"}),
    ],
    ids=["in a container", "public", "for everyone", "here"],
)
def test_names_are_checked_if_the_gateway_knows_its_names(
    host: str, public_url: str, names: set[str] | None
) -> None:
    assert names_of(host, public_url) == names


async def test_probes_may_use_any_name() -> None:
    assert await answer(NAMES, "GET", {"Host": "gateway:8000"}, "/metrics") == (200, "hello")
    assert await answer(NAMES, "GET", {"Host": "10.0.0.7"}, "/health/live") == (200, "hello")


def test_an_operator_adds_names() -> None:
    names = names_of("0.0.0.0", "", ["Gateway", "photos.internal"])
    assert names == {"127.0.0.1", "localhost", "::1", "0.0.0.0", "gateway", "photos.internal"}


def test_a_url_that_nobody_has_set_limits_no_names() -> None:
    reachable = resolved(Settings(host="0.0.0.0", port=8000))
    assert wiring.chosen_url(reachable) == ""
    named = resolved(Settings(host="0.0.0.0", port=8000, public_url="https://shop.example"))
    assert wiring.chosen_url(named) == "https://shop.example"


OWN = "http://127.0.0.1:8000"
SITES: list[tuple[dict[str, str], int]] = [
    ({}, 200),
    ({"Sec-Fetch-Site": "same-origin"}, 200),
    ({"Sec-Fetch-Site": "none"}, 200),
    ({"Sec-Fetch-Site": "same-site"}, 403),
    ({"Sec-Fetch-Site": "cross-site"}, 403),
    ({"Sec-Fetch-Site": "CROSS-SITE"}, 403),
    ({"Origin": OWN}, 200),
    ({"Origin": OWN, "Sec-Fetch-Site": "same-origin"}, 200),
    ({"Origin": "http://evil.example"}, 403),
    ({"Origin": "http://evil.example:8000"}, 403),
    ({"Origin": "http://evil.example", "Sec-Fetch-Site": "none"}, 403),
    ({"Origin": "null"}, 403),
    ({"Origin": ""}, 403),
    ({"Origin": "http://127.0.0.1"}, 403),
    ({"Origin": "http://127.0.0.1:9999"}, 403),
    ({"Origin": "http://localhost:8000"}, 403),
    ({"Origin": "http://127.0.0.1:x"}, 403),
    ({"Origin": "http://localhost:8000", "Host": "localhost:8000"}, 200),
    ({"Origin": "http://localhost", "Host": "localhost:80"}, 200),
    ({"Origin": "https://shop.example", "Host": "shop.example"}, 200),
    ({"Origin": "https://shop.example:8443"}, 200),  # a proxy has changed the host
    ({"Origin": "https://shop.example:8444"}, 403),
    ({"Origin": "http://shop.example:8443"}, 403),
]


@pytest.mark.parametrize("names", [NAMES, None], ids=["known names", "all names"])
@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
@pytest.mark.parametrize(("headers", "status"), SITES)
async def test_another_site_s_page_changes_nothing(
    method: str, headers: dict[str, str], status: int, names: frozenset[str] | None
) -> None:
    found, said = await answer(names, method, headers)
    assert found == status
    assert status == 200 or said == "cross-site-request"
    assert await answer(names, "GET", headers) == (200, "hello")


@pytest.mark.parametrize("name", ["Origin", "Sec-Fetch-Site"])
async def test_each_of_several_headers_counts(name: str) -> None:
    good = {"Origin": OWN, "Sec-Fetch-Site": "none"}[name]
    bad = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}[name]
    assert await answer(NAMES, "POST", [(name, good), (name, bad)]) == (403, "cross-site-request")
