"""The OpenAPI document does not break old clients, and client generators can use it.

``tests/golden`` holds the released document.
"""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.local.builds import ServerUnavailable, built
from tests.golden_records import GOLDEN
from tests.servers import give_up

RELEASED = GOLDEN / "openapi.released.json"
CURRENT = Path(__file__).parents[2] / "docs" / "openapi.json"

Document = dict[str, Any]


@pytest.fixture(scope="session")
def oasdiff() -> Path:
    try:
        return built("oasdiff") / "oasdiff"
    except ServerUnavailable as error:
        give_up(str(error))


def breaks(oasdiff: Path, old: Path, new: Path) -> list[str]:
    """Return what breaks clients of ``old`` when the gateway serves ``new``."""
    done = subprocess.run(
        [oasdiff, "breaking", old, new, "--format", "json"],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout or "[]") or []
    return [
        f"{each['id']} {each['operation']} {each['path']}" for each in found if each["level"] == 3
    ]


ARTIFACT = "/v1/artifacts/{key}"
EXCEPTIONS = [
    f"response-media-type-removed GET {ARTIFACT}",
    f"response-media-type-removed GET {ARTIFACT}",
    f"request-body-media-type-removed PUT {ARTIFACT}",
    "request-body-any-of-removed POST /v1/jobs",
    *["request-property-any-of-removed POST /v1/jobs"] * 2,
    "response-property-type-changed DELETE /v1/jobs/{job_id}",
    "request-property-max-items-set POST /v1/replays",
    "response-property-type-changed GET /v1/replays/{replay_id}",
    "request-property-any-of-removed POST /v1/uploads/{upload_id}/complete",
]
"""The document names the accepted image types instead of `image/*`, and describes two levels of
metadata instead of a recursive schema. Client generators can handle neither. Each alternative of
the JSON body now has the options too, because client generators build one model from each
alternative. The gateway accepts the same requests as before, except that a replay has at most
20,000 `job_ids`: a list is measured before its items are validated, and a body has at most 1 MB.
The two changed types are FastAPI's errors, which the gateway never sent. Unknown query parameters
are refused now; the document cannot express this."""


def test_nothing_breaks_old_clients(oasdiff: Path) -> None:
    assert breaks(oasdiff, RELEASED, CURRENT) == EXCEPTIONS


def _schema(document: Document, name: str) -> Document:
    found: Document = document["components"]["schemas"][name]
    return found


BREAKING: dict[str, Callable[[Document], object]] = {
    "endpoint": lambda new: new["paths"].pop("/v1/jobs/{job_id}"),
    "field": lambda new: _schema(new, "JobView")["properties"].pop("caption"),
    "type": lambda new: _schema(new, "JobView")["properties"]["run"].update(type="string"),
}


@pytest.mark.parametrize("change", BREAKING.values(), ids=BREAKING.keys())
def test_breaking_changes_are_detected(
    oasdiff: Path, tmp_path: Path, change: Callable[[Document], object]
) -> None:
    new = copy.deepcopy(json.loads(RELEASED.read_text()))
    change(new)
    changed = tmp_path / "openapi.json"
    changed.write_text(json.dumps(new))
    assert breaks(oasdiff, RELEASED, changed) != []


DOCUMENT: Document = json.loads(CURRENT.read_text())
SCHEMAS = DOCUMENT["components"]["schemas"]
OPERATIONS = [operation for path in DOCUMENT["paths"].values() for operation in path.values()]


def _values(node: Any, key: str) -> Iterator[Any]:
    """Yield each value of ``key`` in ``node``, at any depth."""
    if isinstance(node, dict):
        if key in node:
            yield node[key]
        for each in node.values():
            yield from _values(each, key)
    elif isinstance(node, list):
        for each in node:
            yield from _values(each, key)


def _names(node: Any) -> set[str]:
    return {ref.rpartition("/")[2] for ref in _values(node, "$ref") if isinstance(ref, str)}


@pytest.mark.parametrize("name", SCHEMAS)
def test_no_schema_refers_to_itself(name: str) -> None:
    reached: set[str] = set()
    coming = _names(SCHEMAS[name])
    while coming - reached:
        reached |= coming
        coming = set().union(*(_names(SCHEMAS[each]) for each in coming))
    assert name not in reached


def test_media_types_have_no_wildcard() -> None:
    contents = [each for each in _values(DOCUMENT["paths"], "content") if isinstance(each, dict)]
    assert contents
    assert not [kind for content in contents for kind in content if "*" in kind]


def test_links_lead_to_operations_with_their_parameters() -> None:
    parameters = {
        operation["operationId"]: {each["name"] for each in operation.get("parameters", ())}
        for operation in OPERATIONS
    }
    links = [link for found in _values(DOCUMENT["paths"], "links") for link in found.values()]
    links = [link for link in links if isinstance(link, dict) and "operationId" in link]
    linked = {link["operationId"] for link in links}
    assert linked >= {"readJob", "deleteJob", "runAgain", "findSimilar", "completeUpload"}
    assert linked >= {"followJob", "readReplay"}
    for link in links:
        assert set(link["parameters"]) <= parameters[link["operationId"]]
