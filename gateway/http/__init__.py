"""HTTP without jobs: problem documents, limits, host check, OpenAPI, metrics, readiness.

Start with `problems.py`. Must not import `gateway.routes` or `gateway.services`.
"""
