"""Titles, descriptions and vocabulary: what a prediction says in words. Start with `caption.py`."""
