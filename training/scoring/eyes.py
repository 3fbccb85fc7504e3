"""Draw photos with the networks' output for inspection by eye.

Examples:
    python -m training.scoring.eyes photos --out eyes.png
    python -m training.scoring.eyes photos --archive people --count 40 --out people.png
"""

import argparse
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from agents.stages.pose import Finders, estimate
from agents.vision.geometry.crops import plan_views
from agents.vision.geometry.landmarks import LandmarkFinder
from agents.vision.geometry.wearer import WearerFinder
from agents.vision.networks.model import GarmentModel
from agents.vision.text.caption import caption, needs_review
from streams.events.models import Posed
from training.photos.data import VALIDATION_PHOTOS, data_folder, read_archive
from training.scoring.real_archives import held_out_names

COUNT, COLUMNS, TILE, LINE = 24, 4, 220, 14


def sheet(data: Path, archive: str, count: int, seed: int) -> Image.Image:
    """A picture with one tile for each photo: the photo with landmarks, cut-out, shots and texts.

    ``count`` random photos are chosen among those held out for scoring. Raises ValueError if the
    archive has fewer.
    """
    rows = [_row(*found) for found in _looked_at(data, archive, count, seed)]
    width, height = rows[0].size
    lines = -(-len(rows) // COLUMNS)
    whole = Image.new("RGB", (width * COLUMNS, height * lines), "white")
    for place, row in enumerate(rows):
        whole.paste(row, (place % COLUMNS * width, place // COLUMNS * height))
    return whole


def _looked_at(
    data: Path, archive: str, count: int, seed: int
) -> Iterator[tuple[Image.Image, Posed, Image.Image | None, list[str]]]:
    model, finders = GarmentModel.load(), Finders(WearerFinder(), LandmarkFinder.load())
    wanted = held_out_names(data, archive)
    photos = sorted(
        (pair for pair in read_archive(data / f"{archive}.tar") if pair[0] in wanted),
        key=lambda pair: pair[0],
    )
    chosen = np.random.default_rng(seed).choice(len(photos), count, replace=False)
    for place in chosen:
        image = photos[place][1]
        (seen,) = model.predict([image])
        posed, cutout = estimate(np.asarray(image), seen, finders, model.model_id)
        words = [caption(seen) + (" (review)" if needs_review(seen) else "")]
        words += [f"{label} {share:.0%}" for label, share in seen.types[:3]]
        yield image, posed, cutout, words


def _row(
    image: Image.Image, posed: Posed, cutout: Image.Image | None, words: list[str]
) -> Image.Image:
    row = Image.new("RGB", (TILE * 2, TILE + LINE * 5 + 60), "white")
    marked = image.copy()
    draw = ImageDraw.Draw(marked)
    for point in posed.keypoints:
        x, y = point.x * image.width, point.y * image.height
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill="red", outline="white")
    marked.thumbnail((TILE - 4, TILE - 4))
    row.paste(marked, (0, 0))
    if cutout is not None:
        ground = Image.new("RGBA", cutout.size, "magenta")
        flat = Image.alpha_composite(ground, cutout).convert("RGB")
        flat.thumbnail((TILE - 4, TILE - 4))
        row.paste(flat, (TILE, 0))
    for place, view in enumerate(plan_views(posed, image.width * 8, image.height * 8)[:7]):
        box = view.box
        shot = image.crop(
            (
                int(box.left * image.width),
                int(box.top * image.height),
                max(int(box.right * image.width), int(box.left * image.width) + 1),
                max(int(box.bottom * image.height), int(box.top * image.height) + 1),
            )
        )
        shot.thumbnail((58, 58))
        row.paste(shot, (place * 62, TILE))
    font = ImageFont.load_default(12)
    for place, line in enumerate([posed.subject, *words]):
        text = ImageDraw.Draw(row)
        text.text((2, TILE + 60 + place * LINE), line, fill="black", font=font)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folder", metavar="DIR", type=Path, nargs="?", help="default: LOOKSTREAM_DATA"
    )
    parser.add_argument("--out", type=Path, default=Path("eyes.png"), help="picture to write")
    parser.add_argument("--archive", default=VALIDATION_PHOTOS, help="archive of the photos")
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    buffer = io.BytesIO()
    sheet(data_folder(given.folder), given.archive, given.count, given.seed).save(buffer, "PNG")
    given.out.write_bytes(buffer.getvalue())
    print(given.out)


if __name__ == "__main__":
    main()
