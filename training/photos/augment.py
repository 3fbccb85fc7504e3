"""Random views of photos for training, whole batches at a time.

Studio cut-outs are put on other backgrounds, photos are cropped, turned, mirrored and lit anew,
blurred and compressed. Hue stays as it is, since colour is a label.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

KEEP_STUDIO = 0.45
# How much the light changes, as a share of what it does on people's photos: colour is a label.
STUDIO_LAMPS, MADE_UP_LAMPS = 0.2, 0.6
# The JPEG standard's luminance table (ITU T.81, annex K), from low to high frequencies.
JPEG_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56), (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip


def random_views(
    studio: Tensor, people: Tensor, size: int, keep: float = KEEP_STUDIO, lamps: float = 1.0
) -> Tensor:
    """Training input (n, 3, size, size) in 0-1: the studio photos', then the people's.

    Both are (n, h, w, 4) bytes, decoded by `training.photos.data`. Corners of people's photos are
    backgrounds for the studio cut-outs. The share ``keep`` stays on white; ``lamps`` is
    how much of the usual change the light has.
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
    """Training input (n, 3, size, size) in 0-1 and what of it is garment or wearer (n, 1, ...).

    Studio photos with alpha, then people's photos with a mask of theirs in its place; ``scenes``
    lend their corners. All (n, h, w, 4) bytes.
    """
    keep = torch.rand(len(studio), 1, 1) < 0.2
    made, masks = composed(float_planes(studio), float_planes(scenes), size, keep)
    views = _shaded(made, masks)
    if len(people):
        real = placed(float_planes(people), size, (0.6, 1.1), math.radians(20), "reflection")
        views, masks = torch.cat([views, real[:, :3]]), torch.cat([masks, real[:, 3:]])
    return jpeg_noise(blurred(relit(views, torch.ones(len(views))))).clamp_(0, 1), masks.clamp(0, 1)


def _shaded(views: Tensor, masks: Tensor) -> Tensor:
    """A soft shadow beside some cut-outs, as lamps throw."""
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
    """Each photo seen through a random window; `zoom` is the window's share of the photo."""
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
    """Homogeneous coordinates (count, size, size, 3) of planes seen a little from the side."""
    plain = F.affine_grid(torch.eye(2, 3).expand(count, 2, 3), [count, 1, size, size], False)
    tilt = _uniform(count * 2, -0.12, 0.12).view(count, 1, 1, 2)
    plane = plain / (1 + (plain * tilt).sum(dim=3, keepdim=True))
    return torch.cat([plane, torch.ones_like(plane[..., :1])], dim=3)


def studio_views(photos: Tensor, scenes: Tensor, size: int, share: float) -> tuple[Tensor, Tensor]:
    """Views, and which of them kept their white surroundings, (n,)."""
    keep = torch.rand(len(photos), 1, 1) < share
    photos[:, 3] = torch.where(keep, 1.0, photos[:, 3])
    return composed(photos, scenes, size, keep)[0], keep.flatten()


def composed(photos: Tensor, scenes: Tensor, size: int, keep: Tensor) -> tuple[Tensor, Tensor]:
    """Cut-outs on other grounds, on near-white where ``keep``; and their masks (n, 1, h, w)."""
    photos[:, :3] *= photos[:, 3:]
    seen = placed(photos, size, (0.75, 1.35), math.radians(12), "zeros")
    ground = _uniform(len(photos), 0.94, 1.0)[:, None, None, None].repeat(1, 3, size, size)
    elsewhere = torch.nonzero(~keep.flatten()).flatten()
    ground[elsewhere] = backgrounds(scenes, len(elsewhere), size)
    return seen[:, :3] + (1 - seen[:, 3:]) * ground, seen[:, 3:]


def photographed(scenes: Tensor, size: int) -> Tensor:
    return placed(scenes[:, :3], size, (0.6, 1.1), math.radians(20), "reflection")


def backgrounds(scenes: Tensor, count: int, size: int) -> Tensor:
    """Corners of other photos, cloudy noise, or flat colour: (count, 3, size, size)."""
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
    """Other contrast, brightness, white balance and shade, the more the larger ``lamps`` (n,)."""
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
    """Quantise the 8x8 cosine transform of some photos, as JPEG at quality 20-70 would.

    Height and width are multiples of 8.
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
