"""The landmark network: drawn garments to learn from, training, and the score on marked photos.

Start with `train_landmarks`.
"""
