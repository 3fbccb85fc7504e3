"""HTTP code that all routes share: problem documents, limits, host check, bodies, byte ranges,
request context, OpenAPI, metrics and readiness.

Start with `problems.py`. Must not import `gateway.routes` or `gateway.services`.
"""
