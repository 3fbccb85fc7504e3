"""Tells when a worker is stuck: a pure judgement of assignment and progress against lag.

Faust can leave its group for ever without an error; only a look from outside sees it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ConsumerStatus:
    """One reader, now. Times are seconds of a monotonic clock; ``lag`` is in records.

    ``step_limit_s`` is what the round in hand may take, when every try of it times out.
    """

    now: float
    assigned: int
    assigned_seen: float
    lag: int
    last_progress: float
    waiting_for: bool
    step_limit_s: float = 0.0


@dataclass(frozen=True)
class WatchdogLimits:
    """How long, in seconds, a reader may be without partitions, and without progress under lag."""

    unassigned_s: float = 120.0
    stalled_s: float = 300.0
    blocked_s: float = 60.0


def stuck_reason(status: ConsumerStatus, limits: WatchdogLimits) -> str | None:
    """Return why the reader counts as stuck, or None. One that waits for a dependency does not."""
    if status.waiting_for:
        return None
    if not status.assigned:
        without = status.now - status.assigned_seen
        return f"no partitions for {without:.0f} s" if without > limits.unassigned_s else None
    still = status.now - status.last_progress
    if status.lag and still > limits.stalled_s + status.step_limit_s:
        return f"no progress for {still:.0f} s with {status.lag} records waiting"
    return None
