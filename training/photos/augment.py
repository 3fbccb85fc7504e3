"""Augmentation of photo batches for training.

The functions put studio cut-outs on other backgrounds. They also crop, rotate, mirror, blur and
compress photos and change the light. Colour is a label, so white balance is the only intended
change of hue: at most 5 % for each channel.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

KEEP_STUDIO = 0.45
# Change of light on studio photos on white and on composed ones, as a share of the change on
# people's photos. The change is smaller because colour is a label.
STUDIO_LAMPS, MADE_UP_LAMPS = 0.2, 0.6
# Luminance quantisation table of the JPEG standard (ITU T.81, annex K), from low to high
# frequencies.
JPEG_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56), (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip


def random_views(
    studio: Tensor, people: Tensor, size: int, keep: float = KEEP_STUDIO, lamps: float = 1.0
) -> Tensor:
    """Training input (n, 3, size, size) in 0-1: views of the studio photos, then of the people's.

    Both inputs are (n, h, w, 4) bytes, decoded by `training.photos.data`. Backgrounds for the
    studio cut-outs are corners of people's photos, or noise. Each studio photo keeps its white
    surroundings with probability ``keep``. ``lamps`` multiplies the change of light.
    """
    scenes = float_planes(people)
    made, kept = studio_views(float_planes(studio), scenes, size, keep)
    views = torch.cat([made, photographed(scenes, size)])
    change = torch.cat([torch.where(kept, STUDIO_LAMPS, MADE_UP_LAMPS), torch.ones(len(scenes))])
    views = relit(views, change * lamps)
    return jpeg_noise(blurred(views)).clamp_(0, 1)


def masked_views(
    studio: Tensor, people: Tensor, scenes: Tensor, size: int
) -> tuple[Tensor, Tensor]:
    """Training input (n, 3, size, size) in 0-1, and masks (n, 1, size, size) in 0-1.

    The output has the studio photos first, then the people's photos. A mask is 1 on garment and
    wearer. Inputs are (n, h, w, 4) bytes. The alpha of ``studio`` and ``people`` is the mask.
    Backgrounds are corners of ``scenes``, or noise.
    """
    keep = torch.rand(len(studio), 1, 1) < 0.2
    made, masks = composed(float_planes(studio), float_planes(scenes), size, keep)
    views = _shaded(made, masks)
    if len(people):
        real = placed(float_planes(people), size, (0.6, 1.1), math.radians(20), "reflection")
        views, masks = torch.cat([views, real[:, :3]]), torch.cat([masks, real[:, 3:]])
    return jpeg_noise(blurred(relit(views, torch.ones(len(views))))).clamp_(0, 1), masks.clamp(0, 1)


def _shaded(views: Tensor, masks: Tensor) -> Tensor:
    """The views (n, 3, h, w) with a soft shadow to the lower right of some cut-outs."""
    n, _, height, width = masks.shape
    moved = F.pad(masks, (6, 0, 8, 0))[:, :, :height, :width]
    soft = F.interpolate(F.avg_pool2d(moved, 8), size=(height, width), mode="bilinear")
    dark = _uniform(n, 0.0, 0.5)[:, None, None, None] * (torch.rand(n, 1, 1, 1) < 0.6)
    return views * (1 - dark * soft * (1 - masks))


def float_planes(photos: Tensor) -> Tensor:
    return photos.permute(0, 3, 1, 2).float().div_(255)


def _uniform(count: int, low: float, high: float) -> Tensor:
    return torch.rand(count) * (high - low) + low


def placed(
    photos: Tensor, size: int, zoom: tuple[float, float], turn: float, padding: str
) -> Tensor:
    """A random window of each photo (n, c, h, w), as (n, c, size, size).

    ``zoom`` is the range of the window's side as a share of the photo's. ``turn`` is the largest
    rotation in radians. ``padding`` is a padding mode of `torch.nn.functional.grid_sample`.
    """
    n = len(photos)
    scale, stretch = _uniform(n, *zoom), torch.exp(_uniform(n, -0.16, 0.16))
    angle = _uniform(n, -turn, turn)
    mirror = torch.where(torch.rand(n) < 0.5, -1.0, 1.0)
    slack = (1 - scale).abs() * 0.9 + 0.04
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    top = torch.stack([cos * mirror * stretch, -sin, _uniform(n, -1, 1) * slack], dim=1)
    bottom = torch.stack([sin * mirror, cos / stretch, _uniform(n, -1, 1) * slack], dim=1)
    grid = _tilted(n, size) @ torch.stack([top, bottom], dim=1)[:, None].transpose(2, 3)
    return F.grid_sample(photos, grid, "bilinear", padding, False)


def _tilted(count: int, size: int) -> Tensor:
    """Homogeneous coordinates (count, size, size, 3) of planes with a small random tilt."""
    plain = F.affine_grid(torch.eye(2, 3).expand(count, 2, 3), [count, 1, size, size], False)
    tilt = _uniform(count * 2, -0.12, 0.12).view(count, 1, 1, 2)
    plane = plain / (1 + (plain * tilt).sum(dim=3, keepdim=True))
    return torch.cat([plane, torch.ones_like(plane[..., :1])], dim=3)


def studio_views(photos: Tensor, scenes: Tensor, size: int, share: float) -> tuple[Tensor, Tensor]:
    """Views, and which of them kept their white surroundings, (n,). Changes ``photos`` in place."""
    keep = torch.rand(len(photos), 1, 1) < share
    photos[:, 3] = torch.where(keep, 1.0, photos[:, 3])
    return composed(photos, scenes, size, keep)[0], keep.flatten()


def composed(photos: Tensor, scenes: Tensor, size: int, keep: Tensor) -> tuple[Tensor, Tensor]:
    """Cut-outs on other backgrounds, and their masks (n, 1, size, size).

    The background is near-white where ``keep`` (n, 1, 1) is true. Changes ``photos`` in place.
    """
    photos[:, :3] *= photos[:, 3:]
    seen = placed(photos, size, (0.75, 1.35), math.radians(12), "zeros")
    ground = _uniform(len(photos), 0.94, 1.0)[:, None, None, None].repeat(1, 3, size, size)
    elsewhere = torch.nonzero(~keep.flatten()).flatten()
    ground[elsewhere] = backgrounds(scenes, len(elsewhere), size)
    return seen[:, :3] + (1 - seen[:, 3:]) * ground, seen[:, 3:]


def photographed(scenes: Tensor, size: int) -> Tensor:
    return placed(scenes[:, :3], size, (0.6, 1.1), math.radians(20), "reflection")


def backgrounds(scenes: Tensor, count: int, size: int) -> Tensor:
    """Backgrounds (count, 3, size, size): corners of ``scenes``, or a colour with smooth noise."""
    near = torch.randint(len(scenes), (count,))
    share = _uniform(count, 0.1, 0.3)
    zeros = torch.zeros(count)
    across, down = (torch.where(torch.rand(count) < 0.5, -1.0, 1.0) * (1 - share) for _ in "xy")
    window = torch.stack(
        [torch.stack([share, zeros, across], 1), torch.stack([zeros, share, down], 1)], dim=1
    )
    grid = F.affine_grid(window, [count, 1, size, size], False)
    corners = F.grid_sample(scenes[near, :3], grid, "bilinear", "border", False)
    coarse = int(torch.randint(2, 17, (1,)))
    flat = torch.rand(count, 3, 1, 1)
    noise = F.interpolate(torch.randn(count, 3, coarse, coarse), size=size, mode="bilinear")
    clouds = (flat + noise * _uniform(count, 0.0, 0.25)[:, None, None, None]).clamp(0, 1)
    return torch.where(torch.rand(count, 1, 1, 1) < 0.6, corners, clouds)


def relit(views: Tensor, lamps: Tensor) -> Tensor:
    """Views with other contrast, brightness, white balance and shade.

    ``lamps`` (n,) multiplies the random amounts.
    """
    n, strength = len(views), lamps[:, None, None, None]

    def amount(low: float, high: float) -> Tensor:
        return _uniform(n, low, high)[:, None, None, None] * strength

    mean = views.mean(dim=(1, 2, 3), keepdim=True)
    gains = 1 + (torch.rand(n, 3, 1, 1) - 0.5) * 0.1 * strength
    lit = (views - mean) * (1 + amount(-0.25, 0.2)) + mean
    lit = lit * (1 + amount(-0.3, 0.2)) * gains
    slope = torch.linspace(-1, 1, views.shape[-1])
    shade = slope[None, None, :, None] * amount(-0.12, 0.12) + slope * amount(-0.12, 0.12)
    return (lit * (1 + shade)).clamp_(0, 1)


def blurred(views: Tensor) -> Tensor:
    half = F.interpolate(
        F.avg_pool2d(views, 2), size=views.shape[-2:], mode="bilinear", align_corners=False
    )
    share = torch.rand(len(views), 1, 1, 1) * (torch.rand(len(views), 1, 1, 1) < 0.35)
    return views + (half - views) * share


def jpeg_noise(views: Tensor, share: float = 0.3) -> Tensor:
    """Quantise the 8x8 cosine transform of the share ``share`` of photos.

    The strength is that of JPEG at quality 20-65 on the scale of libjpeg. Height and width must be
    multiples of 8.
    """
    chosen = torch.nonzero(torch.rand(len(views)) < share).flatten()
    n, _, height, width = (len(chosen), *views.shape[1:])
    steps = torch.arange(8.0)
    cosine = torch.cos(math.pi / 8 * (steps + 0.5) * steps[:, None]) * 0.5
    cosine[0] /= math.sqrt(2)
    table = torch.tensor(JPEG_TABLE) / 255 * _uniform(n, 0.7, 2.5)[:, None, None, None, None, None]
    blocks = views[chosen].view(n, 3, height // 8, 8, width // 8, 8).transpose(3, 4)
    spectrum = torch.round(cosine @ blocks @ cosine.T / table) * table
    decoded = (cosine.T @ spectrum @ cosine).transpose(3, 4).reshape(n, 3, height, width)
    return views.index_copy(0, chosen, decoded)
