"""The processing graph: which stage feeds which, derived from the stages' topics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from streams.errors import UnknownStage


@dataclass(frozen=True)
class Node:
    """A stage as the graph sees it: its topics and its artifact prefixes.

    ``alternatives`` are topics that can take the place of ``consumes``. No stage emits them.
    """

    name: str
    consumes: str
    emits: str
    artifacts: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = ()

    @property
    def topics(self) -> tuple[str, ...]:
        """Return ``consumes`` and ``alternatives``."""
        return (self.consumes, *self.alternatives)


class StageGraph:
    """The stages in the order of their work; ``root`` is the topic that starts a job.

    Raises ValueError if two stages have the same name or emit the same topic, or if a stage
    consumes a topic that no stage emits.
    """

    def __init__(self, nodes: Iterable[Node], root: str = "image-submitted") -> None:
        self.nodes: dict[str, Node] = {}
        self._by_topic: dict[str, str] = {}
        for node in nodes:
            if node.name in self.nodes:
                raise ValueError(f"stage {node.name}: the name is taken")
            if node.emits in (*self._by_topic, root):
                raise ValueError(f"stage {node.name}: the topic {node.emits} is taken")
            self.nodes[node.name] = node
            self._by_topic[node.emits] = node.name
        for node in self.nodes.values():
            if node.consumes != root and node.consumes not in self._by_topic:
                raise ValueError(f"stage {node.name}: no stage emits {node.consumes}")
        self._upstream = {name: self._path_to(name) for name in self.nodes}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.nodes)

    @property
    def artifacts(self) -> tuple[str, ...]:
        """Return the artifact prefixes of all stages, each once."""
        return tuple(dict.fromkeys(kind for node in self.nodes.values() for kind in node.artifacts))

    def emitter(self, topic: str) -> str | None:
        """Return the name of the stage that emits ``topic``, or None."""
        return self._by_topic.get(topic)

    def upstream(self, stage: str) -> tuple[str, ...]:
        """Return the stages that ``stage`` needs, in the order of their work."""
        return self._upstream[stage]

    def downstream(self, stage: str) -> tuple[str, ...]:
        """Return every stage that needs ``stage``, directly or indirectly."""
        return tuple(name for name in self.nodes if stage in self.upstream(name))

    def closure(self, wanted: Iterable[str]) -> tuple[str, ...]:
        """Return ``wanted`` (all stages when empty) with every stage they need, in graph order.

        Raises `UnknownStage` for a name that is not in the graph.
        """
        names = tuple(wanted) or self.names
        if unknown := sorted(set(names) - set(self.nodes)):
            raise UnknownStage(
                f"unknown stage {', '.join(unknown)}; there are {', '.join(self.nodes)}"
            )
        needed = set(names).union(*(self.upstream(name) for name in names))
        return tuple(name for name in self.nodes if name in needed)

    def _path_to(self, stage: str) -> tuple[str, ...]:
        feeder = self._by_topic.get(self.nodes[stage].consumes)
        return (*self._path_to(feeder), feeder) if feeder else ()
