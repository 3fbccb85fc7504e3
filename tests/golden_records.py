"""The golden records: one Kafka record for each released version of each topic."""

from __future__ import annotations

import json
from pathlib import Path

from streams.broker.records import Record

GOLDEN = Path(__file__).parent / "golden"


def golden_record(topic: str, version: str = "v1") -> Record:
    """Return the record in ``golden/<topic>.<version>.json``."""
    text = (GOLDEN / f"{topic}.{version}.json").read_text()
    file = json.loads(text)
    headers = tuple((name, value.encode()) for name, value in file["headers"].items())
    value = file["value"]
    body = value.encode() if isinstance(value, str) else json.dumps(value).encode()
    return Record(
        topic, partition=0, offset=0, key=file["key"].encode(), value=body, headers=headers
    )
