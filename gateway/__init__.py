"""The gateway: REST, event streams and pages. Start with `app.py`, then `routes/`.

`services.py` holds what routes share, `deps.py` what the gateway is given. Must not import `agents`
or `lookstream`.
"""
