"""Similarity of captions and references: BLEU-4 and CIDEr-D, with one reference for each caption.

BLEU-4: Papineni et al., "BLEU" (ACL 2002), over the whole corpus, with brevity penalty. CIDEr-D:
Vedantam et al., "CIDEr" (CVPR 2015), as for COCO captions: counts are clipped, a Gaussian with
standard deviation 6 words penalises the difference of lengths, and the score is multiplied by 10.
Captions and references are sequences of words.
"""

import math
from collections import Counter
from collections.abc import Sequence

Words = Sequence[str]
ORDERS = (1, 2, 3, 4)
SIGMA = 6.0


def bleu4(captions: Sequence[Words], references: Sequence[Words]) -> float:
    """Corpus BLEU-4 in 0-1."""
    logs = 0.0
    for order in ORDERS:
        hits = total = 0
        for caption, reference in zip(captions, references, strict=True):
            said, wanted = _grams(caption, order), _grams(reference, order)
            hits += sum(min(count, wanted[gram]) for gram, count in said.items())
            total += sum(said.values())
        if not hits:
            return 0.0
        logs += math.log(hits / total) / len(ORDERS)
    length, wanted_length = sum(map(len, captions)), sum(map(len, references))
    penalty = 1.0 if length > wanted_length else math.exp(1 - wanted_length / max(length, 1))
    return penalty * math.exp(logs)


def cider_d(captions: Sequence[Words], references: Sequence[Words]) -> float:
    """Mean CIDEr-D in 0-10. An n-gram in fewer references has a higher weight."""
    if not references:
        return 0.0
    total = 0.0
    for order in ORDERS:
        seen = Counter(gram for reference in references for gram in _grams(reference, order))
        documents = math.log(len(references))

        def weighed(words: Words, order: int = order, seen: Counter[Words] = seen,
                    documents: float = documents) -> dict[Words, float]:  # fmt: skip
            return {gram: count * (documents - math.log(max(seen[gram], 1)))
                    for gram, count in _grams(words, order).items()}  # fmt: skip

        for caption, reference in zip(captions, references, strict=True):
            total += _likeness(weighed(caption), weighed(reference),
                               len(caption) - len(reference))  # fmt: skip
    return 10 * total / len(ORDERS) / len(references)


def _likeness(said: dict[Words, float], wanted: dict[Words, float], longer: int) -> float:
    """The clipped cosine of two weighted bags of n-grams, times the penalty for the lengths."""
    dot = sum(min(weight, wanted.get(gram, 0.0)) * wanted.get(gram, 0.0)
              for gram, weight in said.items())  # fmt: skip
    norms = math.sqrt(sum(w * w for w in said.values()) * sum(w * w for w in wanted.values()))
    return dot / norms * math.exp(-(longer**2) / (2 * SIGMA**2)) if norms else 0.0


def _grams(words: Words, order: int) -> Counter[Words]:
    return Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1))
