"""Produce records that no client library for Python produces."""

from __future__ import annotations

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.producer import message_accumulator, producer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from streams.broker.connection import BrokerUrl


class _Name(str):
    """The name of a header, as bytes that are not UTF-8."""

    def __len__(self) -> int:
        return 2

    def encode(self, *_: object, **__: object) -> bytes:
        return b"\xff\xfe"


async def publish_with_bad_header_name(
    broker: BrokerUrl, topic: str, key: bytes, value: bytes, *, partition: int = 0
) -> None:
    """Publish a record with a header whose name is not UTF-8."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (message_accumulator, producer):
            patch.setattr(module, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
        sender = AIOKafkaProducer(bootstrap_servers=broker.bootstrap)
        await sender.start()
        try:
            headers = [("a", b"1"), (_Name("x"), b"2")]
            await sender.send_and_wait(topic, value, key=key, partition=partition, headers=headers)
        finally:
            await sender.stop()
