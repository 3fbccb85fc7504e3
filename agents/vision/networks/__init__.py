"""The networks, their weights and their predictions. Start with `model.py`."""
