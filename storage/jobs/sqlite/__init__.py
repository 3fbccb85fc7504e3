"""The job store in a SQLite file: `store.py` (the adapter), `queries.py`, `schema.py`."""
