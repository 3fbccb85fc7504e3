"""The parts of the OpenAPI document that FastAPI does not generate: links between operations, the
body of `POST /v1/jobs`, the names of this installation's stages and topics, and metadata's
schema."""

from __future__ import annotations

from typing import Any

from gateway.submissions.options import SCHEMA
from gateway.submissions.schema import request_body, stages_schema
from streams.stages.graph import StageGraph


def _links(parameter: str, value: str, *operations: str) -> dict[str, Any]:
    return {
        operation: {"operationId": operation, "parameters": {parameter: value}}
        for operation in operations
    }


JOB_OPERATIONS = ("readJob", "deleteJob", "runAgain", "findSimilar", "followJob")
JOB_LINKS = _links("job_id", "$response.body#/job_id", *JOB_OPERATIONS[1:])
SUBMISSION_LINKS = _links("job_id", "$response.body#/jobs/0/job_id", *JOB_OPERATIONS)
UPLOAD_LINKS = _links("upload_id", "$response.body#/id", "completeUpload")
REPLAY_LINKS = _links("replay_id", "$response.body#/replay_id", "readReplay")


def complete(document: dict[str, Any], graph: StageGraph) -> dict[str, Any]:
    """Add these parts to the generated ``document``; return the document."""
    schemas = document["components"]["schemas"]
    stages = stages_schema(graph.names)
    for name in ("RunRequest", "ReplayRequest", "Options"):
        schemas[name]["properties"]["stages"] = stages
    schemas["Options"]["properties"]["metadata"] = SCHEMA
    topics = dict.fromkeys(node.consumes for node in graph.nodes.values())
    schemas["ReplayRequest"]["properties"]["topic"]["enum"] = list(topics)
    _drop_default_errors(document)
    document["paths"]["/v1/jobs"]["post"]["requestBody"] = request_body(graph.names)
    return document


def _drop_default_errors(document: dict[str, Any]) -> None:
    """Drop FastAPI's own shape of validation errors. The gateway answers with problem documents."""
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
    for path in document["paths"].values():
        for operation in path.values():
            answer = operation["responses"].get("422")
            if answer and "application/json" in answer.get("content", {}):
                del operation["responses"]["422"]
