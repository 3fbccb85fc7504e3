"""Photos and labels for training: archives, vocabulary, cut-outs and random views.

Start with `data` (shop photos) or `real_data` (real-world photos). This package must not import
`training.trainers`.
"""
