"""Reads records that aiokafka cannot read, so that one of them does not stop its partition.

Kafka accepts any bytes as the name of a header. aiokafka raises `CorruptRecordException` for a name
that is not UTF-8, at each fetch anew. `install` makes aiokafka's fetcher use `LenientRecords`: it
reads such a record with escapes in the name. A record with another fault is read without key,
value and headers. Both then become dead letters like every other undecodable record.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy, _DefaultRecordPy
from aiokafka.record.memory_records import _MemoryRecordsPy
from aiokafka.record.util import decode_varint_py

_FAULTS = (CorruptRecordException, ValueError, IndexError)
_MAGIC = 16
"""Position of the version of a batch's format."""


def install() -> None:
    """Make all aiokafka consumers of this process read leniently."""
    fetcher.MemoryRecords = LenientRecords


class LenientRecords(_MemoryRecordsPy):  # type: ignore[misc]
    """The record batches of one fetch, as `LenientBatch`.

    Batches in the format of Kafka before 0.11 are returned unchanged.
    """

    def next_batch(self) -> Any:
        """Return the next batch, or None."""
        raw = self._next_slice
        batch = super().next_batch()
        return LenientBatch(batch, bytes(raw)) if raw is not None and raw[_MAGIC] >= 2 else batch


class LenientBatch:
    """A batch of records. aiokafka's fast reader reads the records before the first fault;
    `_SlowBatch` reads the others from ``raw``, the bytes of the batch."""

    def __init__(self, fast: Any, raw: bytes) -> None:
        self._fast = fast
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fast, name)

    def __iter__(self) -> Iterator[Any]:
        count = 0
        try:
            for record in self._fast:
                yield record
                count += 1
        except _FAULTS:
            for place, record in enumerate(_SlowBatch(self._raw)):
                if place >= count:
                    yield record


class _SlowBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    """aiokafka's reader in Python. For a record that it cannot read, it returns a record with the
    right offset and without key, value and headers."""

    _buffer: bytearray
    _pos: int

    def _read_msg(self, decode_varint: Any = decode_varint_py) -> Any:
        if not isinstance(self._buffer, _Bytes):
            self._buffer = _Bytes(self._buffer)
        start = self._pos
        try:
            return super()._read_msg(decode_varint_py)
        except _FAULTS:
            length, pos = decode_varint_py(self._buffer, start)
            self._pos = pos + length
            if length < 1 or self._pos > len(self._buffer):
                raise
            _, pos = decode_varint_py(self._buffer, pos)  # attributes
            _, pos = decode_varint_py(self._buffer, pos)  # difference of times
            offset, _ = decode_varint_py(self._buffer, pos)
            return _DefaultRecordPy(
                self.base_offset + offset,
                self.first_timestamp,
                self.timestamp_type,
                None,
                None,
                [],
            )


class _Bytes(bytearray):
    """Bytes whose `decode` never fails: a byte that is not UTF-8 becomes an escape sequence."""

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        return _Bytes(found) if isinstance(key, slice) else found

    def decode(self, *_: Any, **__: Any) -> str:
        return bytes(self).decode("utf-8", "backslashreplace")
