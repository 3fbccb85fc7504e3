"""Where to begin reading a topic whose past matters."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaException, TopicPartition

from streams.broker_url import BrokerUrl
from streams.errors import BrokerUnavailable

ASK_S = 10.0


def starts(
    consumer: Consumer,
    broker: BrokerUrl,
    topic: str,
    partitions: Iterable[int],
    since: datetime | None,
    margin_s: float = 0.0,
) -> list[TopicPartition]:
    """Return each partition with the offset of its first record at or after ``since``, or so many
    seconds before.

    From the beginning without ``since``, and on the embedded broker, which knows no times: the
    reader looks at each record's own. Raises `BrokerUnavailable`.
    """
    if since is None or broker.embedded:
        return [TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions]
    time = max(0, int((since.timestamp() - margin_s) * 1000))
    wanted = [TopicPartition(topic, number, time) for number in partitions]
    try:
        found = consumer.offsets_for_times(wanted, timeout=ASK_S)
    except KafkaException as error:
        raise BrokerUnavailable(f"topic {topic}: {error.args[0].str()}") from error
    for place in found:
        if place.offset < 0:  # everything in it is older
            place.offset = OFFSET_END
    return list(found)
