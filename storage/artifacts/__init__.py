"""Artifacts: immutable objects under keys made from their content.

Start with `store.py` (the port). Adapters: `directory.py`, `s3.py`. `keys.py` names all keys,
`links.py` signs links, `erasure.py` deletes the artifacts of a deleted job.
"""
