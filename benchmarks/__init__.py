"""Benchmarks: each compares a part with its own ceiling in one run. Start with `pipeline.py`."""
