"""The settings of all topics."""

from __future__ import annotations

from streams.broker.topics import system_topics
from streams.stages.registry import PIPELINE

PLAN = {
    topic.name: topic
    for topic in system_topics((node.emits for node in PIPELINE), partitions=6, retention_days=30)
}


def test_every_topic_of_the_system_is_planned_once() -> None:
    assert list(PLAN) == [
        "image-submitted",
        *(node.emits for node in PIPELINE),
        "stage-failed",
        "job-deleted",
        "job-updated",
        "dead-letters",
    ]


def test_partitions_bound_how_far_readers_scale() -> None:
    assert {topic.partitions for name, topic in PLAN.items() if name != "dead-letters"} == {6}
    assert PLAN["dead-letters"].partitions == 1


def test_events_are_kept_as_long_as_is_set() -> None:
    assert PLAN["image-validated"].config == {
        "cleanup.policy": "delete",
        "retention.ms": "2592000000",
    }


def test_of_job_updates_the_last_is_kept_for_ever() -> None:
    assert PLAN["job-updated"].config == {"cleanup.policy": "compact"}


def test_dead_letters_have_longer_retention_and_a_larger_size_limit() -> None:
    config = PLAN["dead-letters"].config
    assert config["retention.ms"] == "7776000000"
    assert int(config["max.message.bytes"]) > 1_048_588


def test_a_topic_that_two_stages_emit_is_planned_once() -> None:
    names = [topic.name for topic in system_topics(["a", "a", "image-submitted"], 1, 1)]
    assert len(names) == len(set(names))
