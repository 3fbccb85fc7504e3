"""The gateway's addresses, one module a kind."""
