"""The OpenAPI document stays compatible with old clients. ``tests/golden`` has the released one."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Callable
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
    *["request-property-any-of-removed POST /v1/jobs"] * 2,
    "request-property-any-of-removed POST /v1/uploads/{upload_id}/complete",
]
"""The document names the accepted image types instead of `image/*`, and describes two levels of
metadata instead of a recursive schema. Client generators can handle neither. The gateway accepts
the same requests as before."""


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
def test_what_would_break_them_is_seen(
    oasdiff: Path, tmp_path: Path, change: Callable[[Document], object]
) -> None:
    new = copy.deepcopy(json.loads(RELEASED.read_text()))
    change(new)
    changed = tmp_path / "openapi.json"
    changed.write_text(json.dumps(new))
    assert breaks(oasdiff, RELEASED, changed) != []
