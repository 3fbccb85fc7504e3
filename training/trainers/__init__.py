"""The training loops: one command for each network, and what they share.

Start with `trainer`. `train` and `real_train` train the encoder and its heads.
"""
