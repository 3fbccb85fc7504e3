"""The events: models, CloudEvents codec, traces, AsyncAPI document. Start with `models.py`."""
