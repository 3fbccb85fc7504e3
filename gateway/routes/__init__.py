"""The routes, one module per resource. Start with `jobs.py`.

A route is a decorated function; `Gateway` (`gateway/services.py`) is its dependency.
"""
