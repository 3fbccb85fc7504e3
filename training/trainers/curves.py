"""Draw training curves: the loss, and the scores on held-out photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class History:
    """Losses by step, and scores in 0-1 by name and step."""

    losses: list[tuple[int, float]] = field(default_factory=list)
    scores: list[tuple[int, Mapping[str, float]]] = field(default_factory=list)

    def draw(self, path: Path, title: str) -> None:
        """Write both curves side by side to ``path``, a PNG."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(10, 4), layout="constrained")
        figure.suptitle(title)
        loss, right = figure.subplots(1, 2)
        loss.plot(*_columns(self.losses))
        loss.set(xlabel="batches", ylabel="loss")
        if self.scores:
            self._draw_scores(right)
        figure.savefig(path)

    def _draw_scores(self, right: Any) -> None:
        for name in self.scores[0][1]:
            right.plot(*_columns([(step, found[name]) for step, found in self.scores]), label=name)
        right.set(xlabel="batches", ylabel="share right, held-out photos", ylim=(0.4, 1))
        right.grid(visible=True)
        right.legend()


def _columns(points: Sequence[tuple[int, float]]) -> tuple[list[int], list[float]]:
    return [step for step, _ in points], [value for _, value in points]
