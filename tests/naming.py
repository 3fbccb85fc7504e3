"""Stable ids for test parameters: the order of a set differs between processes."""

from __future__ import annotations


def named(given: object) -> str:
    if isinstance(given, dict):
        return str({k: sorted(v) if isinstance(v, frozenset) else v for k, v in given.items()})
    return str(given)
