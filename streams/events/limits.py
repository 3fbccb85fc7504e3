"""The limits of events: every text, list and map has one, and the whole record has one.

Lengths of texts are in characters. The AsyncAPI document contains the limits. A custom stage may
put any fields into its payload; only the limit of the whole record applies to them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

VALUE_BYTES = 1_000_000
"""Limit of a record's value. With the headers (`streams.broker.records.HEADER_BYTES`), the record
is smaller than Kafka's default limit of 1,048,588 bytes."""
NAME = 100
LABEL = 256
KEY = 1_024
MESSAGE = 2_000
DESCRIPTION = 5_000
ITEMS = 100
STAGES = 200
METADATA_ITEMS = 4_000
METADATA_BYTES = 64_000
PIXELS = 2**31 - 1
LARGEST_RUN = 2**31 - 1
LARGEST_NUMBER = 2**53 - 1
"""The largest whole number that all JSON parsers read exactly (I-JSON, RFC 7493)."""


def _utc(time: datetime) -> datetime:
    try:
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("the time is out of range") from error


def few(most: int) -> BeforeValidator:
    """Return a validator that refuses more than ``most`` items before it looks at an item.

    Without this validator, pydantic collects the faults of all items. For a record of 1 MB that
    took 6 s and 800 MB of memory.
    """

    def check(value: Any) -> Any:
        if isinstance(value, list | tuple | dict) and len(value) > most:
            raise ValueError(f"has {len(value)} items; {most} are allowed")
        return value

    return BeforeValidator(check)


Name = Annotated[str, Field(max_length=NAME)]
"""The name of a stage, an error code, a key point or an attribute."""
LabelText = Annotated[str, Field(max_length=LABEL)]
"""A short text: a group, an owner, a model or a class."""
Key = Annotated[str, Field(max_length=KEY)]
"""A key in the artifact store."""
Message = Annotated[str, Field(max_length=MESSAGE)]
StageNames = Annotated[tuple[Name, ...], Field(max_length=STAGES), few(STAGES)]
Pixels = Annotated[int, Field(ge=1, le=PIXELS)]
Count = Annotated[int, Field(ge=1, le=LARGEST_RUN)]
Moment = Annotated[datetime, AfterValidator(_utc)]
"""A time in UTC. A time without a zone counts as UTC."""
