"""Job documents: a projection of the events.

Start with `store.py` (the port and its values), then `transition.py` (how an update changes a job).
`documents.py` and `terms.py` are shared by the adapters in `sqlite/` and `mongo/`.
"""
