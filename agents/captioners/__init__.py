"""Captioners: the shipped network (`local.py`), or a model of the operator's choice.

Start with `prompted.py`, which asks any model about one photo at a time: `gemini`, `openai` or
`transformers`. `fallback.py` uses the shipped network if the model fails. This folder must not
import `agents.runtime`.
"""
