"""Each page, and each file that pages load, has a policy without inline scripts and styles."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from asking import NOBODY, client
from serving import Serving, embedded_broker, serving

PAGES = (
    "/",
    "/gallery",
    "/gallery?no_such_filter=1",
    f"/gallery/{NOBODY}",
    f"/gallery/{NOBODY}/similar",
)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with embedded_broker() as broker, serving(tmp_path_factory.mktemp("gw"), broker) as running:
        yield running


@pytest.fixture
def http(gateway: Serving) -> Iterator[httpx.Client]:
    with client(gateway) as http:
        yield http


def policy(answer: httpx.Response) -> dict[str, str]:
    """Return the sources of each directive."""
    parts = answer.headers["content-security-policy"].split(";")
    return {name: rest for name, _, rest in (part.strip().partition(" ") for part in parts)}


@pytest.mark.parametrize("path", PAGES)
def test_a_page_runs_only_scripts_and_styles_of_its_own_host(http: httpx.Client, path: str) -> None:
    answer = http.get(path)
    assert answer.headers["content-type"].startswith("text/html")
    found = policy(answer)
    assert found["default-src"] == "'none'"
    assert found["script-src"] == found["style-src"] == "'self'"
    assert found["base-uri"] == found["frame-ancestors"] == "'none'"
    assert "unsafe" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize("path", PAGES)
def test_every_file_of_a_page_and_of_its_scripts_is_served(http: httpx.Client, path: str) -> None:
    waiting = set(re.findall(r'(?:href|src)="(/pages/[^"]+)"', http.get(path).text))
    assert {"/pages/shell/layout.css", "/pages/shell/components.css"} <= waiting
    served: set[str] = set()
    while waiting:
        served.add(each := waiting.pop())
        answer = http.get(each)
        assert answer.status_code == 200, each
        assert policy(answer)["script-src"] == "'self'"
        imported = re.findall(r'from "(\.[^"]+)"', answer.text)
        waiting |= {httpx.URL(each).join(name).path for name in imported} - served


@pytest.mark.parametrize(
    "name", ["render.py", "../app.py", "templates/base.html", "shell", "shell/"]
)
def test_no_other_file_is_served(http: httpx.Client, name: str) -> None:
    assert http.get(f"/pages/{name.replace('..', '%2e%2e')}").status_code == 404
