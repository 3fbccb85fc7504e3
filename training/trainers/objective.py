"""The loss of training, and the share of right answers.

Labels are bool tables (n, words). A row can have several true words; each one is a right answer.
A row without a true word has no label and does not count.
"""

import math

from torch import Tensor


def partial_loss(logits: Tensor, truth: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the mean of -log P(any true word) over the labelled rows, with label smoothing."""
    known = truth.any(dim=1)
    if not bool(known.any()):
        return logits.sum() * 0
    logs = logits[known].log_softmax(dim=1)
    hit = logs.masked_fill(~truth[known], -math.inf).logsumexp(dim=1)
    return -((1 - smoothing) * hit + smoothing * logs.mean(dim=1)).mean()


def top1(logits: Tensor, truth: Tensor) -> float:
    """Return the share of labelled rows whose most probable word is true."""
    known = truth.any(dim=1)
    best = logits[known].argmax(dim=1, keepdim=True)
    return truth[known].gather(1, best).float().mean().item()
