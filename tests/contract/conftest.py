"""An empty job store of each kind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.jobs.store import JobStore
from tests.contract.job_stores import opened


@pytest.fixture(params=["sqlite", pytest.param("mongo", marks=pytest.mark.real_servers)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite://{tmp_path}/made/jobs.db"
    fresh: str = request.getfixturevalue("ferretdb_server").fresh()
    return fresh


@pytest.fixture
async def store(url: str) -> AsyncIterator[JobStore]:
    async with opened(url) as store:
        yield store
