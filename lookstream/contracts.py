"""Writes the OpenAPI and AsyncAPI documents and the events page into a folder.

python -m lookstream.contracts docs
"""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lookstream.settings import Settings
from lookstream.wiring import gateway as wiring
from streams.broker.connection import BrokerUrl
from streams.broker.producer import EventProducer
from streams.events.events_page import events_page

_NOWHERE = "kafka://localhost:9092"
"""The AsyncAPI document names a broker; nothing connects to it."""


def write(folder: Path) -> None:
    """Write ``openapi.json``, ``asyncapi.json`` and ``events.md`` into ``folder``."""
    for name, text in contracts().items():
        (folder / name).write_text(text)


def contracts() -> dict[str, str]:
    """Return the files' contents by name, for an installation with default settings."""
    with TemporaryDirectory() as home:
        settings = wiring.resolved(Settings(home=Path(home), kafka=_NOWHERE, stages=""))
        events = wiring.events_document(settings)
        with closing(EventProducer(BrokerUrl.parse(_NOWHERE), source="/")) as publisher:
            document = wiring.gateway_over(publisher, settings).openapi()
        return {
            "openapi.json": _json(document),
            "asyncapi.json": _json(events),
            "events.md": events_page(events),
        }


def _json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    write(Path(sys.argv[1]))
