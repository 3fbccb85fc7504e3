"""The events: models, CloudEvents codec, trace contexts, AsyncAPI document. Start with `models.py`."""
