"""Names of parameters that are alike in every process: in each, sets have an order of their own."""

from __future__ import annotations


def named(given: object) -> str:
    if isinstance(given, dict):
        return str({k: sorted(v) if isinstance(v, frozenset) else v for k, v in given.items()})
    return str(given)
