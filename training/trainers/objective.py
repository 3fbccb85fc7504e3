"""What training makes small, and what it makes large.

Labels are tables (n, words) of bool: any of a row's true words is right, and a row without one is
not known and does not count.
"""

import math

from torch import Tensor


def partial_loss(logits: Tensor, truth: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean of -log P(any true word) over the rows that know one, with label smoothing."""
    known = truth.any(dim=1)
    if not bool(known.any()):
        return logits.sum() * 0
    logs = logits[known].log_softmax(dim=1)
    hit = logs.masked_fill(~truth[known], -math.inf).logsumexp(dim=1)
    return -((1 - smoothing) * hit + smoothing * logs.mean(dim=1)).mean()


def top1(logits: Tensor, truth: Tensor) -> float:
    """The share of known rows whose likeliest word is true."""
    known = truth.any(dim=1)
    best = logits[known].argmax(dim=1, keepdim=True)
    return truth[known].gather(1, best).float().mean().item()
