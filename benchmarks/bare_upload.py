"""The upper limit of the upload rate: a FastAPI endpoint that only stores uploads in a directory.

python -m benchmarks.bare_upload DIRECTORY PORT
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import uuid_utils
import uvicorn
from fastapi import FastAPI, UploadFile
from starlette.concurrency import run_in_threadpool

from storage.artifacts import keys
from storage.artifacts.directory import DirectoryArtifacts
from storage.artifacts.links import LinkSigner


def app(folder: Path) -> FastAPI:
    """Return the application. It answers with one new id for each upload."""
    bare = FastAPI()
    artifacts = DirectoryArtifacts(folder, LinkSigner(b"-" * 32, ""))

    @bare.post("/v1/jobs", status_code=202)
    async def submit(files: Annotated[list[UploadFile], "one or many"]) -> dict[str, list[str]]:
        ids = []
        for upload in files:
            job_id = str(uuid_utils.uuid7())
            await run_in_threadpool(artifacts.put, keys.incoming(job_id), upload.file)
            ids.append(job_id)
        return {"jobs": ids}

    return bare


if __name__ == "__main__":
    uvicorn.run(
        app(Path(sys.argv[1])), port=int(sys.argv[2]), log_level="warning", access_log=False
    )
