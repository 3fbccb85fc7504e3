"""Mask the product and the wearer of a studio photo with white surroundings."""

import cv2
import numpy as np
from numpy.typing import NDArray

NEARLY_WHITE, WHITE = 243, 250
LEAK = 0.04
SPECK, GAP = 0.002, 0.004


def product_mask(rgb: NDArray[np.uint8]) -> NDArray[np.bool_] | None:
    """A mask (h, w), True on the product of a studio photo (h, w, 3); None if implausible.

    The surroundings are the white pixels with a white path to the photo's edge. If nearly white
    pixels would make the surroundings much larger, the garment is probably white, and only pixels
    of at least `WHITE` count. White areas inside the product belong to the product: a print is
    likelier than a gap. A mask is implausible if the area is too small or too large or the outline
    is ragged.
    """
    nearly, fully = (_surroundings(rgb, level) for level in (NEARLY_WHITE, WHITE))
    around = fully if nearly.mean() - fully.mean() > LEAK else nearly
    closed = cv2.morphologyEx((~around).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3)))
    product = _without_small(np.asarray(closed > 0), SPECK)
    product = ~_without_small(~product, GAP)
    share = float(product.mean())
    return product if 0.03 < share < 0.95 and not _ragged(product) else None


def soft_alpha(mask: NDArray[np.bool_], size: int) -> NDArray[np.uint8]:
    """A mask as ``size`` x ``size`` bytes, shrunk by about half a pixel to leave no white rim."""
    blurred = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.7)
    inner = np.clip((blurred - 0.5) * 2, 0, 1)
    method = cv2.INTER_AREA if mask.shape[1] > size else cv2.INTER_LINEAR
    resized = cv2.resize(inner, (size, size), interpolation=method)
    return np.asarray(np.round(resized * 255), np.uint8)


def _surroundings(rgb: NDArray[np.uint8], level: int) -> NDArray[np.bool_]:
    white = np.pad((rgb.min(axis=2) >= level).astype(np.uint8), 1, constant_values=1)
    _, labels = cv2.connectedComponents(white, connectivity=4)
    return np.asarray((labels == labels[0, 0])[1:-1, 1:-1])


def _without_small(mask: NDArray[np.bool_], share: float) -> NDArray[np.bool_]:
    """The mask without connected parts smaller than ``share`` of the photo."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= share * mask.size
    large[0] = False
    return np.asarray(large[labels], np.bool_)


def _ragged(mask: NDArray[np.bool_]) -> bool:
    """Whether the outline is too long for the area: a sign of missing parts of the product."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    around = sum(cv2.arcLength(outline, True) for outline in outlines)
    return bool(4 * np.pi * mask.sum() / max(around, 1.0) ** 2 < 0.03)
