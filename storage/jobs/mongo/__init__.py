"""The job store in MongoDB: `store.py` (the adapter), `queries.py`, `schema.py`."""
