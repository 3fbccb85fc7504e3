"""Scores of the networks on labelled photos, computed as the product uses the networks.

Start with `score`. Must not import the trainers.
"""
