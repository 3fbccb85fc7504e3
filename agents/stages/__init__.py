"""The handlers of the built-in stages: one module each, with a function ``build(resources)``.

Start with `stage` (the contract) and `errors`, then read `thumbnailing` as a short example.
Handlers know nothing of Kafka: they never import `agents.runtime` or `agents.tracking`.
"""
