"""Masks, landmarks, wearers, and the crops of shots. Start with `crops.py` or `landmarks.py`."""
