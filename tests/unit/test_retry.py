"""The retry decision is a pure function of the error and the number of attempts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.runtime.retry import RetryDecision, RetryPolicy, is_unavailable
from agents.stages.errors import BadAnswer, Rejected, Unavailable
from storage.errors import ArtifactNotFound, StoreUnavailable
from streams.errors import BrokerUnavailable, EventTooLarge

POLICY = RetryPolicy(attempts=3, base_s=0.5, cap_s=10.0)
OURS = (
    ValueError("x"),
    BadAnswer("nonsense", "x"),
    TimeoutError(),
    MemoryError(),
    ArtifactNotFound("x"),
    EventTooLarge("x"),
)
AWAY = (StoreUnavailable("x"), BrokerUnavailable("x"), Unavailable("s3", "x"))


@pytest.mark.parametrize("attempts", [1, 2, 3, 100])
@pytest.mark.parametrize("error", [Rejected("bad", "Bad."), *AWAY], ids=repr)
def test_rejections_and_unavailability_do_not_count_attempts(
    error: Exception, attempts: int
) -> None:
    expected = RetryDecision.REJECT if isinstance(error, Rejected) else RetryDecision.WAIT
    assert POLICY.decide(error, attempts) is expected


@pytest.mark.parametrize("error", OURS, ids=repr)
@pytest.mark.parametrize(
    ("attempts", "decision"),
    [
        (1, RetryDecision.RETRY),
        (2, RetryDecision.RETRY),
        (3, RetryDecision.GIVE_UP),
        (4, RetryDecision.GIVE_UP),
    ],
)
def test_internal_errors_are_tried_three_times(
    error: Exception, attempts: int, decision: RetryDecision
) -> None:
    assert POLICY.decide(error, attempts) is decision


@pytest.mark.parametrize("error", AWAY, ids=repr)
def test_errors_that_mean_unavailable(error: Exception) -> None:
    assert is_unavailable(error)


@pytest.mark.parametrize("error", [*OURS, Rejected("bad", "Bad.")], ids=repr)
def test_errors_that_do_not_mean_unavailable(error: Exception) -> None:
    assert not is_unavailable(error)


@pytest.mark.parametrize(
    ("tries", "least", "most"), [(1, 0.5, 1.0), (2, 1.0, 2.0), (3, 2.0, 4.0), (99, 5.0, 10.0)]
)
def test_delays_double_up_to_the_cap(tries: int, least: float, most: float) -> None:
    assert POLICY.delay(tries, chance=0.0) == least
    assert POLICY.delay(tries, chance=1.0) == most


@pytest.mark.parametrize(
    ("asked", "seconds"), [(None, 1.0), (0.1, 1.0), (7.0, 7.0), (300.0, 300.0), (9e9, 300.0)]
)
def test_a_requested_delay_is_respected_up_to_the_limit(
    asked: float | None, seconds: float
) -> None:
    error = Unavailable("model", "busy", retry_after_s=asked)
    assert POLICY.unavailable_delay_s(error, 1, chance=1.0) == seconds


@pytest.mark.parametrize("error", AWAY, ids=repr)
def test_without_a_requested_delay_the_usual_delay_applies(error: Exception) -> None:
    assert POLICY.unavailable_delay_s(error, 2, chance=0.0) == POLICY.delay(2, chance=0.0)


@given(tries=st.integers(0, 10_000))
def test_a_delay_is_positive_and_at_most_the_cap(tries: int) -> None:
    assert 0 < POLICY.delay(tries) <= POLICY.cap_s
