"""Tells when a worker is stuck: a pure judgement of assignment and progress against lag.

Faust can leave its group for ever without an error; only a look from outside sees it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Vitals:
    """One reader, now. Times are seconds of a monotonic clock; ``lag`` is in records.

    ``patience_s`` is what the round in hand may take, when every try of it times out.
    """

    now: float
    assigned: int
    assigned_seen: float
    lag: int
    progress_seen: float
    holding: bool
    patience_s: float = 0.0


@dataclass(frozen=True)
class Limits:
    """How long, in seconds, a reader may be without partitions, and without progress under lag."""

    unassigned_s: float = 120.0
    stalled_s: float = 300.0
    blocked_s: float = 60.0


def verdict(vitals: Vitals, limits: Limits) -> str | None:
    """Return why the reader counts as stuck, or None. One that waits for a dependency does not."""
    if vitals.holding:
        return None
    if not vitals.assigned:
        without = vitals.now - vitals.assigned_seen
        return f"no partitions for {without:.0f} s" if without > limits.unassigned_s else None
    still = vitals.now - vitals.progress_seen
    if vitals.lag and still > limits.stalled_s + vitals.patience_s:
        return f"no progress for {still:.0f} s with {vitals.lag} records waiting"
    return None
