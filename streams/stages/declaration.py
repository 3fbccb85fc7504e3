"""What a stage declares: everything about it except its code. This module needs no torch."""

from __future__ import annotations

import re
from dataclasses import dataclass

from streams.events.models import Event, Payload, StageResult
from streams.stages.graph import Node

_WORD = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


@dataclass(frozen=True)
class StageDeclaration:
    """One stage: its events, and how the runtime, the stores and REST treat it.

    Results are cached by content and ``version``: a stage must change its version when the same
    content would give another payload. A stage whose results depend on a model extends the version
    when it is built. ``batch`` is the largest number of events per call. ``timeout_s`` is the time
    limit in seconds for each event of a call: a call with 4 events may take four times as long.
    ``attempts`` is the number of tries before a stage gives up on an event. ``threads`` is 0 for
    the threads that all stages of a process share (by default one per core). A stage that waits for
    another machine has threads of its own. ``uses_network`` marks a stage that uses the garment
    network: `up` runs these stages in one process, and SIGHUP loads them again.

    ``also_consumes`` are events that can take the place of ``consumes``: a job needs one of them.
    ``postpones`` is the event of work that takes long and would delay other work. A second consumer
    of the stage, `slow`, does that work beside the first.

    ``artifacts`` are the key prefixes ``<prefix>/<sha256>/`` that the stage writes. Deleting a job
    deletes them. ``shows`` names the fields of a job in REST that the payload fills. The payload of
    a stage without ``shows`` appears unchanged under ``results.<name>``.
    """

    name: str
    consumes: type[Event]
    emits: type[StageResult]
    payload: type[Payload]
    version: str
    batch: int = 8
    timeout_s: float = 60.0
    attempts: int = 3
    threads: int = 0
    uses_network: bool = False
    also_consumes: tuple[type[Event], ...] = ()
    postpones: type[Event] | None = None
    artifacts: tuple[str, ...] = ()
    shows: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError for a name, topic or artifact prefix that would break a key."""
        parts = [part for prefix in self.artifacts for part in prefix.split("/")]
        for text in (self.name, self.emits.topic, *parts):
            if not _WORD.fullmatch(text):
                raise ValueError(f"stage {self.name!r}: {text!r} is not a word like 'mean-colour'")

    @property
    def slow(self) -> str:
        """The name of the consumer of postponed work, and the end of its consumer group."""
        return f"{self.name}-slow"

    @property
    def node(self) -> Node:
        """Return the stage as the graph sees it."""
        also = tuple(event.topic for event in self.also_consumes)
        return Node(self.name, self.consumes.topic, self.emits.topic, self.artifacts, also)
