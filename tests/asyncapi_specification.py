"""The AsyncAPI specification's JSON Schema, from its npm package."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.servers import give_up

PACKAGE = "@asyncapi/specs"
RELEASE = "6.11.1"


def specification(version: str) -> dict[str, Any]:
    """Return the JSON Schema of AsyncAPI ``version``; cached outside the checkout."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    home = Path(base) / "lookstream" / f"asyncapi-specs-{RELEASE}"
    schemas = home / "node_modules" / PACKAGE / "schemas"
    if not schemas.is_dir():
        _install(home)
    schema: dict[str, Any] = json.loads((schemas / f"{version}.json").read_text())
    return schema


def _install(home: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        give_up("npm is not installed")
    options = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(home)]
    subprocess.run([npm, "install", *options, f"{PACKAGE}@{RELEASE}"], check=True, timeout=120)
