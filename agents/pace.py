"""How long an empty fetch may last on a broker that holds it to the full: a pure decision.

Short while records come one by one, so that a hop is quick; long when none do, and when batches
take so long that nobody would notice, so that waiting is cheap. Measured on the embedded broker:
0.7 ms of a core a fetch, eight readers a process; under load at the short wait that was a sixth of
a core, all of it holding the interpreter's lock that the computing threads want.
"""

from __future__ import annotations

from dataclasses import dataclass, field

_SHARE = 8
"""A fetch may last this part of the longest batch."""


@dataclass
class Pace:
    """Shared by the readers of a process: a record for one is soon a record for the next.

    Times are seconds of a monotonic clock. ``seen`` is when a record last came, ``took`` how long
    each reader's last batch took.
    """

    busy_s: float = 0.025
    loaded_s: float = 0.15
    calm_s: float = 0.25
    calm_after_s: float = 5.0
    seen: float = float("-inf")
    took: dict[str, float] = field(default_factory=dict)

    def fetch_wait(self, now: float) -> float:
        """Return the seconds that an empty fetch may last."""
        if now - self.seen > self.calm_after_s:
            return self.calm_s
        longest = max(self.took.values(), default=0.0)
        return min(max(longest / _SHARE, self.busy_s), self.loaded_s)
