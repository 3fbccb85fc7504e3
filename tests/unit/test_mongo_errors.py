"""Which errors of MongoDB are temporary, and which are permanent."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.errors import AutoReconnect, BulkWriteError, OperationFailure, PyMongoError

from storage.errors import StorageError, StoreUnavailable
from storage.jobs.mongo.store import _translated


def bulk(*codes: int, concern: bool = False) -> BulkWriteError:
    details: dict[str, Any] = {"writeErrors": [{"code": code} for code in codes]}
    return BulkWriteError({**details, "writeConcernErrors": [{"code": 64}] if concern else []})


@pytest.mark.parametrize(
    "error",
    [
        AutoReconnect("gone"),
        OperationFailure("no primary", 133),
        OperationFailure("stepped down", 189),
        OperationFailure("full", 14031),
        OperationFailure("not you", 13),
        OperationFailure("again", 8, {"errorLabels": ["RetryableWriteError"]}),
        bulk(concern=True),
        bulk(11600, 11000),
    ],
    ids=str,
)
def test_temporary_errors_are_unavailable(error: PyMongoError) -> None:
    with pytest.raises(StoreUnavailable), _translated():
        raise error


@pytest.mark.parametrize(
    "error",
    [OperationFailure("bad value", 2), OperationFailure("too large", 10334), bulk(2), bulk(2, 189)],
    ids=str,
)
def test_document_errors_are_permanent(error: PyMongoError) -> None:
    with pytest.raises(StorageError) as raised, _translated():
        raise error
    assert not isinstance(raised.value, StoreUnavailable)
