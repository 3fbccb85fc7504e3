"""The processes: gateway, worker, and `up`, which supervises both on one machine.

Start with `up`. `processes` runs one gateway or worker and reloads models on SIGHUP; `probe` is the
containers' health check. Must not import `agents` or `gateway` at module level: both load slowly.
"""
