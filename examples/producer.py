"""Submit photos from Python with only a Kafka client. No package of Lookstream is needed.

    python producer.py 127.0.0.1:9092 https://example.com/dress.jpg …

`lookstream info` prints the broker's address as `kafka`. The script prints a job id for each URL
once the broker has stored the event. It needs: pip install confluent-kafka
"""

import json
import sys
import uuid

from confluent_kafka import Producer

TOPIC = "image-submitted"


def submit(producer: Producer, url: str) -> str:
    """Queue one photo and return its job id."""
    job_id = str(uuid.uuid4())
    producer.produce(
        TOPIC,
        key=job_id,
        value=json.dumps({"job_id": job_id, "source": {"url": url}, "group": "examples"}),
        headers={
            "ce_specversion": "1.0",
            "ce_id": job_id,
            "ce_source": "/examples/python",
            "ce_type": f"lookstream.{TOPIC}.v1",
            "content-type": "application/json",
        },
        on_delivery=report,
    )
    return job_id


def report(error: object, message: object) -> None:
    """Give up when the broker did not take an event."""
    if error is not None:
        sys.exit(f"not delivered: {error}")


def main(broker: str, urls: list[str]) -> None:
    producer = Producer({"bootstrap.servers": broker, "enable.idempotence": True})
    job_ids = [submit(producer, url) for url in urls]
    producer.flush()
    print(*job_ids, sep="\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
