"""Any JSON value survives storage in MongoDB."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.jobs.mongo.schema import escaped, unescaped

KEYS = st.text(alphabet="%.$\0ab2E5é", max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


@given(JSON)
def test_escaped_values_round_trip(value: object) -> None:
    assert unescaped(escaped(value)) == value


@given(JSON)
def test_escaped_values_have_no_special_meaning_in_mongodb(value: object) -> None:
    def check(value: object) -> None:
        if isinstance(value, dict):
            assert not any(set(key) & set(".$\0") for key in value)
            for inner in value.values():
                check(inner)
        if isinstance(value, list):
            assert not any(isinstance(inner, list) for inner in value)
            for inner in value:
                check(inner)

    check(escaped(value))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_lacks_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        escaped({"a": [number]})
