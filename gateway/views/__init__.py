"""From stored jobs to the JSON of REST: pure functions and models.

Start with `jobs.py`; the shapes are in `models.py`. Must not import `gateway.routes`.
"""
