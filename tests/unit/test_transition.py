"""A job's state depends on its updates, not on their order or repetition."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.jobs.store import (
    Deleted,
    Job,
    JobUpdate,
    Resubmitted,
    StageCompleted,
    StageError,
    StageFailure,
    Submitted,
)
from storage.jobs.transition import MOST_STAGES, fold, transition

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
WANTED = ("validation", "captioning", "pose", "shots")
BLOCKS = {"validation": ("captioning", "pose", "shots"), "pose": ("shots",)}


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def submitted(run: int = 1, seconds: float = 0, **more: object) -> Submitted:
    fields = {"source": {"url": "http://a/b.jpg"}, "wanted": WANTED, "owner": "ann", **more}
    return Submitted("job", run, at(seconds), **fields)  # type: ignore[arg-type]


def completed(stage: str, run: int = 1, seconds: float = 1, **more: object) -> StageCompleted:
    fields = {"result": {"of": stage}, "wanted": WANTED, **more}
    return StageCompleted("job", run, at(seconds), stage, **fields)  # type: ignore[arg-type]


def gave_up(stage: str, run: int = 1, seconds: float = 1, code: str = "broken") -> StageFailure:
    error = StageError(stage, "error", code, f"{stage} failed")
    return StageFailure("job", run, at(seconds), error, WANTED, BLOCKS.get(stage, ()))


def after(*updates: JobUpdate) -> Job:
    job = fold(None, updates)
    assert job is not None
    return job


def statuses(job: Job) -> dict[str, str]:
    return {stage: state.status for stage, state in job.stages.items()}


def test_a_submission_makes_a_pending_job() -> None:
    job = after(submitted(group="album", metadata={"sku": 7}, idempotency_key="k"))
    assert (job.status, job.run, job.revision, job.wanted) == ("pending", 1, 1, WANTED)
    assert (job.owner, job.group, job.metadata) == ("ann", "album", {"sku": 7})
    assert (job.submitted_at, job.updated_at) == (NOON, NOON)


def test_a_job_is_processing_until_every_wanted_stage_is_done() -> None:
    some = after(submitted(), completed("validation"))
    assert some.status == "processing"
    done = after(submitted(), *(completed(stage) for stage in WANTED))
    assert (done.status, done.revision, done.updated_at) == ("completed", 5, at(1))


def test_a_stage_that_nobody_wanted_does_not_count() -> None:
    job = after(submitted(wanted=("validation",)), completed("pose", wanted=("validation",)))
    assert job.status == "pending"
    assert after(submitted(), completed("extra")).status == "pending"


def test_an_early_result_makes_a_placeholder_that_the_submission_fills_in() -> None:
    early = after(completed("validation"))
    assert (early.submitted_at, early.source, early.wanted) == (None, {}, WANTED)
    job = fold(early, [submitted(seconds=-5, metadata={"a": 1})])
    assert job is not None
    assert (job.submitted_at, job.owner, job.metadata) == (at(-5), "ann", {"a": 1})
    assert (job.stages, job.status) == (early.stages, "processing")
    assert job.updated_at == at(1)


@pytest.mark.parametrize(
    "update",
    [
        submitted(),
        submitted(seconds=9),
        completed("validation"),
        completed("validation", seconds=99, result={"other": 1}),
        gave_up("validation", seconds=99),
        gave_up("pose"),
        gave_up("pose", seconds=0),
        Resubmitted("job", 1, at(0)),
        completed("captioning", run=0),
    ],
    ids=repr,
)
def test_an_update_without_a_change_returns_the_same_object(update: JobUpdate) -> None:
    job = after(submitted(), completed("validation"), gave_up("pose"))
    assert transition(job, update) is job


def test_a_completion_replaces_a_failure() -> None:
    failed = after(submitted(wanted=("pose",)), gave_up("pose"))
    assert failed.status == "failed"
    mended = transition(failed, completed("pose", seconds=2))
    assert mended is not None
    assert (mended.status, mended.error) == ("completed", None)
    assert mended.stages["pose"].error is None


def test_a_newer_failure_replaces_an_older_one() -> None:
    job = after(submitted(), gave_up("pose"), gave_up("pose", seconds=2, code="again"))
    assert job.stages["pose"].error is not None
    assert job.stages["pose"].error.code == "again"


def test_giving_up_skips_what_it_blocks_and_fails_the_job() -> None:
    job = after(submitted(), gave_up("validation"))
    assert statuses(job) == {
        "validation": "failed",
        "captioning": "skipped",
        "pose": "skipped",
        "shots": "skipped",
    }
    assert job.status == "failed"
    assert job.error == job.stages["validation"].error == job.stages["shots"].error


def test_a_completed_stage_is_not_skipped() -> None:
    job = after(submitted(), completed("shots"), gave_up("pose"))
    assert statuses(job) == {"shots": "completed", "pose": "failed"}


def test_a_job_with_a_failure_goes_on_until_the_rest_is_settled() -> None:
    job = after(submitted(), gave_up("pose"), completed("validation"))
    assert (job.status, job.error) == ("processing", None)
    settled = transition(job, completed("captioning"))
    assert settled is not None
    assert (settled.status, settled.error) == ("failed", job.stages["pose"].error)


def test_a_jobs_error_is_that_of_the_first_failed_stage_it_wanted() -> None:
    job = after(submitted(), gave_up("shots"), gave_up("captioning", seconds=9), gave_up("pose"))
    failed = transition(job, completed("validation"))
    assert failed is not None
    assert failed.error is not None
    assert failed.error.stage == "captioning"


def test_completing_a_failed_stage_unblocks_its_downstream_stages() -> None:
    job = after(submitted(), gave_up("pose"), completed("pose", seconds=2))
    assert statuses(job) == {"pose": "completed"}


def test_a_higher_run_takes_over_and_keeps_old_results_until_new_ones_come() -> None:
    first = after(submitted(), *(completed(stage) for stage in WANTED))
    again = transition(first, submitted(run=2, seconds=60, wanted=("validation", "pose")))
    assert again is not None
    assert (again.run, again.status, again.wanted) == (2, "pending", ("validation", "pose"))
    assert again.stages == first.stages
    assert again.submitted_at == NOON
    done = fold(again, [completed("pose", run=2, result={"new": 1}), completed("validation", 2)])
    assert done is not None
    assert done.status == "completed"
    assert done.stages["pose"].result == {"new": 1}
    assert done.stages["shots"].run == 1


def test_a_replay_that_leaves_out_the_owner_does_not_make_the_job_public() -> None:
    job = after(submitted(metadata={"a": 1}), submitted(run=2, owner=None))
    assert (job.owner, job.metadata) == ("ann", {"a": 1})


STOLEN = {"source": {"url": "http://evil/x.jpg"}, "owner": "eve", "group": "eves"}


@pytest.mark.parametrize("run", [1, 2])
@pytest.mark.parametrize("known", [{"group": "album"}, {"owner": None}], ids=repr)
@pytest.mark.parametrize("early", [True, False])
def test_a_new_submission_does_not_change_source_owner_or_group(
    run: int, known: dict[str, str | None], early: bool
) -> None:
    """Any producer can name another client's job."""
    true = [completed("validation"), submitted(**known)]
    job = after(*(true if early else reversed(true)))
    taken = after(*true, submitted(run=run, seconds=-9, **STOLEN), submitted(run=run, **STOLEN))
    assert (taken.source, taken.owner, taken.group) == (job.source, job.owner, job.group)
    assert (taken.run, taken.submitted_at) == (run, NOON)


def test_an_upload_gets_its_group_once_after_its_notification() -> None:
    uploaded = {"source": {"object": "uploads/job"}, "owner": None}
    job = after(submitted(**uploaded), submitted(**uploaded, group="album"))
    assert job.group == "album"
    assert after(submitted(**uploaded, group="a"), submitted(**uploaded, group="b")).group == "a"
    stolen = submitted(source={"url": "http://evil/x.jpg"}, owner="eve", group="eves")
    job = after(submitted(**uploaded), stolen)
    assert (job.source, job.owner, job.group) == ({"object": "uploads/job"}, None, None)


def test_a_failure_of_an_earlier_run_does_not_fail_the_new_one() -> None:
    job = after(submitted(), gave_up("validation"), submitted(run=2, seconds=5))
    assert (job.status, job.error) == ("pending", None)
    assert statuses(job)["validation"] == "failed"


def test_a_sweep_restarts_the_clock_and_nothing_else() -> None:
    job = after(submitted())
    swept = transition(job, Resubmitted("job", 1, at(600)))
    assert swept == replace(job, updated_at=at(600), revision=2)
    assert transition(None, Resubmitted("job", 1, at(600))) is None


def test_a_deleted_job_is_stripped_to_its_id_run_and_time() -> None:
    job = after(submitted(run=3, group="album", metadata={"a": 1}), gave_up("pose", run=3))
    tombstone = transition(job, Deleted("job", 1, at(60)))
    assert tombstone == replace(
        fold(None, [Deleted("job", 3, at(60))]) or job, revision=job.revision + 1
    )
    assert (tombstone.status, tombstone.run, tombstone.updated_at) == ("deleted", 3, at(60))
    assert (tombstone.owner, tombstone.group, tombstone.submitted_at) == (None, None, None)


STAGES = st.sampled_from(WANTED)
SAME_RUN = st.lists(
    st.one_of(
        st.builds(completed, STAGES),
        st.builds(gave_up, STAGES, seconds=st.integers(0, 3), code=st.sampled_from("abc")),
        st.just(submitted()),
    ),
    min_size=1,
    max_size=12,
)


def test_a_run_that_fails_leaves_the_results_of_the_run_before() -> None:
    done = after(submitted(), *(completed(stage) for stage in WANTED))
    failed = fold(done, [completed("validation", 2), gave_up("captioning", 2), gave_up("pose", 2)])
    assert failed is not None
    assert statuses(failed) == {
        "validation": "completed",
        "captioning": "failed",
        "pose": "failed",
        "shots": "skipped",
    }
    assert {name: state.result for name, state in failed.stages.items()} == {
        name: {"of": name} for name in WANTED
    }
    again = fold(failed, [completed("pose", 2, result={"new": 1})])
    assert again is not None
    assert (again.stages["shots"].status, again.stages["shots"].run) == ("completed", 1)
    assert again.stages["shots"].result == {"of": "shots"}
    assert fold(again, [gave_up("pose", 2)]) is again


@given(SAME_RUN, st.randoms(use_true_random=False))
def test_the_order_of_a_runs_updates_does_not_matter(updates: list[JobUpdate], random) -> None:
    shuffled = random.sample(updates, len(updates))
    one, other = after(*updates), after(*shuffled)
    assert (one.status, one.stages, one.error) == (other.status, other.stages, other.error)
    assert (one.source, one.submitted_at) == (other.source, other.submitted_at)


@given(SAME_RUN, st.integers(0, 11))
def test_a_redelivery_of_all_that_went_before_changes_nothing(
    updates: list[JobUpdate], start: int
) -> None:
    job = after(*updates)
    assert fold(job, updates[start:]) is job


@given(SAME_RUN, SAME_RUN)
def test_updates_of_a_lower_run_are_ignored(old: list[JobUpdate], new: list[JobUpdate]) -> None:
    new = [replace(update, run=2) for update in new]
    known = after(*old, *new)
    assert fold(known, old) is known


@given(SAME_RUN, SAME_RUN, st.integers(1, 3))
def test_a_deletion_is_final_in_any_order(
    before: list[JobUpdate], late: list[JobUpdate], run: int
) -> None:
    tombstone = after(*before, Deleted("job", 1, at(60)))
    assert (tombstone.status, tombstone.stages, tombstone.metadata) == ("deleted", {}, {})
    later = [replace(update, run=run) for update in late]
    assert fold(tombstone, [*later, Deleted("job", run, at(99))]) is tombstone
    first = after(Deleted("job", 1, at(60)), *before)
    assert replace(tombstone, revision=1) == replace(first, revision=1)


def test_a_job_has_a_limited_number_of_stages() -> None:
    failures = [
        StageFailure("job", 1, NOON, StageError(f"s{n}", "error", "c", "m"), ("s0",))
        for n in range(MOST_STAGES + 50)
    ]
    job = fold(None, failures)
    assert job is not None
    assert len(job.stages) == MOST_STAGES
    assert fold(job, failures) is job
