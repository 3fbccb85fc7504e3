"""From a request to jobs: parse the body, check the photos, store, record, publish.

Start with `body.py` (parsing) and `submitter.py`. Must not import `gateway.routes`.
"""
