"""Scores of the networks on labelled photos. The networks run as in the product.

Start with `score`. This package must not import `training.trainers`.
"""
