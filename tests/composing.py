"""Read `docker-compose.yaml` with both versions of Compose."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from deploy.local.builds import ServerUnavailable, built
from tests.servers import give_up

ROOT = Path(__file__).parents[1]
FILE = ROOT / "docker-compose.yaml"
REQUIRED = frozenset(re.findall(r"\$\{(\w+):\?", FILE.read_text()))
SECRETS = {name: f"{name.lower().replace('_', '')}0123456789" for name in REQUIRED}

Service = Mapping[str, Any]


def raw_services() -> dict[str, Service]:
    """Return the services with anchors resolved, and variables as written."""
    services: dict[str, Service] = yaml.safe_load(FILE.read_text())["services"]
    return services


@cache
def services() -> dict[str, Service]:
    """Return the services from `docker-compose config`, with every secret set."""
    read: dict[str, Service] = yaml.safe_load(config([FILE], SECRETS).stdout)["services"]
    return read


def config(files: list[Path], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run Debian's `docker-compose config`; skip the test if it is not installed."""
    program = shutil.which("docker-compose")
    if program is None:
        give_up("docker-compose is not installed")
    named = [part for file in files for part in ("-f", str(file))]
    return _run([program, *named, "config"], environment)


def parsed_anew(
    files: list[Path], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Read the files with the library of `docker compose`; skip if the build is not possible."""
    try:
        program = built("compose") / "compose"
    except ServerUnavailable as error:
        give_up(str(error))
    return _run([str(program), *map(str, files)], environment)


def _run(command: list[str], settings: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **settings}
    return subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
