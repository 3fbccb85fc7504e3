"""Benchmarks: speed and memory as ratios within one run. Start with `pipeline.py`."""
