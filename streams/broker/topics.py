"""The topics: names, partitions, retention and compaction, and their creation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from streams.broker.connection import BrokerUrl
from streams.errors import BrokerUnavailable

DEAD_LETTERS = "dead-letters"
JOB_UPDATED = "job-updated"
JOB_DELETED = "job-deleted"
OBJECT_CREATED = "object-created"
"""The artifact store's notifications of uploads, in its own format; consumed by intake."""
DAY_MS = 86_400_000
DEAD_LETTER_BYTES = 2_000_000
"""A dead letter is a record of up to the broker's limit (1 MB) with added headers."""


@dataclass(frozen=True)
class Topic:
    """One topic to create. ``partitions`` limits the number of parallel consumers."""

    name: str
    partitions: int
    compacted: bool = False
    retention_days: int = 90
    max_bytes: int | None = None

    @property
    def config(self) -> dict[str, str]:
        """The topic's settings by Kafka's names."""
        if self.compacted:
            return {"cleanup.policy": "compact"}
        config = {
            "cleanup.policy": "delete",
            "retention.ms": str(self.retention_days * DAY_MS),
        }
        if self.max_bytes:
            config["max.message.bytes"] = str(self.max_bytes)
        return config


def system_topics(stage_topics: Iterable[str], partitions: int, retention_days: int) -> list[Topic]:
    """Return `image-submitted`, ``stage_topics``, and the topics of failures, deletions, job
    updates and dead letters. `object-created` is not included.

    The job store can be rebuilt from the topics as far back as ``retention_days``.
    """
    names = dict.fromkeys(("image-submitted", *stage_topics, "stage-failed", JOB_DELETED))
    return [
        *(Topic(name, partitions, retention_days=retention_days) for name in names),
        Topic(JOB_UPDATED, partitions, compacted=True),
        Topic(DEAD_LETTERS, 1, retention_days=max(retention_days, 90), max_bytes=DEAD_LETTER_BYTES),
    ]


def create_topics(broker: BrokerUrl, topics: Sequence[Topic], timeout_s: float = 30.0) -> list[str]:
    """Create the missing topics and return their names. Existing topics do not change.

    Does nothing on the embedded broker, which creates topics on demand. Raises
    `BrokerUnavailable`.
    """
    if broker.embedded:
        return []
    admin = AdminClient({**broker.confluent(), "log_level": 0})
    wanted = [
        NewTopic(topic.name, num_partitions=topic.partitions, config=topic.config)
        for topic in topics
    ]
    created = []
    for name, future in admin.create_topics(wanted, request_timeout=timeout_s).items():
        try:
            future.result()
            created.append(name)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise BrokerUnavailable(f"topic {name}: {error.args[0].str()}") from error
    return created
