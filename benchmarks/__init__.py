"""Benchmarks of speed and memory. Start with `pipeline.py`."""
