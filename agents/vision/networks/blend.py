"""How the opinions of two networks become one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from torch import Tensor


@dataclass(frozen=True)
class Blend:
    """By head: the second network's share of the logits, 0-1, and the temperature of their sum."""

    shares: Mapping[str, float]
    temperatures: Mapping[str, float]

    def probabilities(
        self, first: Mapping[str, Tensor], second: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Both networks' logits (n, words) of each head as one calibrated probability a word."""
        return {
            head: (first[head].lerp(second[head], share) / self.temperatures[head]).softmax(1)
            for head, share in self.shares.items()
        }

    def to_json(self) -> str:
        """The form in which a weights file's metadata keeps it."""
        return json.dumps(asdict(self))

    @classmethod
    def of_json(cls, text: str) -> Blend:
        """Raises ValueError for what is none."""
        try:
            kept = json.loads(text)
            parts = [{head: float(n) for head, n in kept[part].items()}
                     for part in ("shares", "temperatures")]  # fmt: skip
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a blend of two networks: {text[:80]!r}") from error
        return cls(*parts)
