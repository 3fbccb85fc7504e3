"""How long an empty fetch may last on a broker that holds it to the full: a pure decision.

Short while records come, so that a hop is quick; long when none do, so that waiting is cheap.
Measured on the embedded broker: 0.7 ms of a core a fetch, eight readers a process.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Pace:
    """Shared by the readers of a process: a record for one is soon a record for the next.

    Times are seconds of a monotonic clock. ``seen`` is when a record last came.
    """

    busy_s: float = 0.025
    calm_s: float = 0.25
    calm_after_s: float = 5.0
    seen: float = float("-inf")

    def fetch_wait(self, now: float) -> float:
        """Return the seconds that an empty fetch may last."""
        return self.calm_s if now - self.seen > self.calm_after_s else self.busy_s
