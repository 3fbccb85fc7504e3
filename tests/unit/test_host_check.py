"""The gateway refuses unknown host names, and changes by pages of other sites."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gateway.http.host_check import HostCheck, names_of

NAMES = names_of("127.0.0.1", "https://shop.example:8443/photos")


def hello(_: Request) -> Response:
    return PlainTextResponse("hello")


async def answer(
    names: frozenset[str] | None, method: str, headers: dict[str, str], path: str = "/"
) -> tuple[int, str]:
    app = Starlette(routes=[Route("/{path:path}", hello, methods=["GET", "POST", "DELETE"])])
    transport = httpx.ASGITransport(HostCheck(app, names))
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
        ("0.0.0.0", "https://shop.example", None),
        ("localhost", "", {"127.0.0.1", "localhost", "::1"}),
    ],
    ids=["in a container", "for everyone", "here"],
)
def test_names_are_checked_where_it_is_on_this_machine_alone(
    host: str, public_url: str, names: set[str] | None
) -> None:
    assert names_of(host, public_url) == names


async def test_probes_may_use_any_name() -> None:
    assert await answer(NAMES, "GET", {"Host": "gateway:8000"}, "/metrics") == (200, "hello")
    assert await answer(NAMES, "GET", {"Host": "10.0.0.7"}, "/health/live") == (200, "hello")


@pytest.mark.parametrize("names", [NAMES, None])
@pytest.mark.parametrize(
    ("method", "site", "status"),
    [
        ("POST", "cross-site", 403),
        ("DELETE", "cross-site", 403),
        ("GET", "cross-site", 200),
        ("POST", "same-origin", 200),
        ("POST", "same-site", 200),
        ("POST", "none", 200),
    ],
)
async def test_another_site_s_page_changes_nothing(
    method: str, site: str, status: int, names: frozenset[str] | None
) -> None:
    found, _ = await answer(names, method, {"Sec-Fetch-Site": site})
    assert found == status
