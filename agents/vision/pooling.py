"""Averages of features over the places that learnt maps point at."""

from torch import Tensor


def attended(features: Tensor, look: Tensor) -> Tensor:
    """Features (n, c, h, w) averaged by a map of logits (n, 1, h, w): (n, c)."""
    weights = look.flatten(2).softmax(dim=2)
    return (features.flatten(2) * weights).sum(dim=2)
