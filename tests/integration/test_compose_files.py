"""Debian's `docker-compose` and the library of `docker compose` accept our files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.composing import FILE, REQUIRED, ROOT, SECRETS, config, parsed_anew

Reader = Callable[[list[Path], Mapping[str, str]], CompletedProcess[str]]
ADDITIONS = sorted((ROOT / "deploy" / "compose").glob("*.yaml"))

both = pytest.mark.parametrize("read", [config, parsed_anew])


@both
def test_the_file_alone(read: Reader) -> None:
    done = read([FILE], SECRETS)
    assert done.returncode == 0, done.stderr
    assert not done.stderr


@both
@pytest.mark.parametrize("addition", ADDITIONS, ids=lambda path: path.name)
def test_with_an_addition(read: Reader, addition: Path) -> None:
    done = read([FILE, addition], SECRETS)
    assert done.returncode == 0, done.stderr


@both
@pytest.mark.parametrize("missing", sorted(REQUIRED))
def test_a_missing_secret_is_refused(read: Reader, missing: str) -> None:
    given = {name: value for name, value in SECRETS.items() if name != missing}
    done = read([FILE], given)
    assert done.returncode != 0
    assert missing in done.stderr
    assert ".env.example" in done.stderr
