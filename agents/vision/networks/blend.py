"""Combine the predictions of two networks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from torch import Tensor


@dataclass(frozen=True)
class Blend:
    """For each head: the second network's weight in 0-1, and the temperature of the sum."""

    shares: Mapping[str, float]
    temperatures: Mapping[str, float]

    def probabilities(
        self, first: Mapping[str, Tensor], second: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Return calibrated probabilities from both networks' logits (n, words) of each head."""
        return {
            head: (first[head].lerp(second[head], share) / self.temperatures[head]).softmax(1)
            for head, share in self.shares.items()
        }

    def to_json(self) -> str:
        """Return the JSON for the metadata of a weights file."""
        return json.dumps(asdict(self))

    @classmethod
    def of_json(cls, text: str) -> Blend:
        """Read that JSON. Raises ValueError if it is not valid."""
        try:
            kept = json.loads(text)
            parts = [{head: float(n) for head, n in kept[part].items()}
                     for part in ("shares", "temperatures")]  # fmt: skip
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a blend of two networks: {text[:80]!r}") from error
        return cls(*parts)
