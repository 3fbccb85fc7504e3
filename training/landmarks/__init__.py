"""The landmark network: drawn garments for training, the trainer, and the score on marked photos.

Start with `train_landmarks`.
"""
