"""State: artifacts (a directory or S3) and job documents (SQLite or the MongoDB protocol).

Start with the ports, `storage/artifacts/store.py` and `storage/jobs/store.py`. `storage/urls.py`
opens the adapter that a URL names. Imports nothing from streams, agents, gateway or lookstream.
"""
