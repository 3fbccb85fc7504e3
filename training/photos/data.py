"""Read the photo archives and their tables; decode each archive once into a NumPy file.

A photo becomes ``SIZE`` x ``SIZE`` RGBA bytes; the aspect ratio is not kept. Alpha is 0 on the
white surroundings of a studio photo, with a soft edge, and 255 everywhere else. A studio photo
without a plausible mask has alpha 255.
"""

import csv
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.photos.cutouts import product_mask, soft_alpha
from training.photos.labels import (
    PHOTO_CLASSES,
    SLEEVE_OF_CLASS,
    colour_word,
    gender_word,
    is_held_out,
    neckline_word,
    pattern_word,
    sleeve_word,
    type_word,
    vocabulary,
)

# Side length of a decoded photo in pixels. When weights trained at this size ship, set
# `agents.vision.networks.weights.DECODED` to the same value.
SIZE = 176
CATALOGUES = ("catalogue-224", "catalogue-60x80")
TRAIN_PHOTOS = "photos-train"
VALIDATION_PHOTOS = "photos-validation"


@dataclass(frozen=True)
class Example:
    """One labelled photo. At least one word of `types` is true; `types` is empty if not known."""

    archive: str
    member: str
    types: tuple[str, ...]
    held_out: bool
    colour: str | None = None
    gender: str | None = None
    pattern: str | None = None
    sleeve: str | None = None
    neckline: str | None = None
    title: str = ""

    is_catalogue: bool = False


@dataclass(frozen=True)
class Words:
    """The vocabulary of each head of the network."""

    type: tuple[str, ...]
    colour: tuple[str, ...]
    gender: tuple[str, ...]
    pattern: tuple[str, ...]
    sleeve: tuple[str, ...]
    neckline: tuple[str, ...]


@dataclass(frozen=True)
class Photos:
    """Examples and their decoded photos, (n, SIZE, SIZE, 4) bytes, in the same order."""

    examples: tuple[Example, ...]
    pixels: NDArray[np.uint8]


def data_folder(given: Path | None = None) -> Path:
    """The folder of the archives: ``given``, or the value of LOOKSTREAM_DATA.

    Raises FileNotFoundError if the folder lacks the table of the validation photos.
    """
    folder = given or Path(os.environ.get("LOOKSTREAM_DATA", ""))
    if not (folder / f"{VALIDATION_PHOTOS}.csv").is_file():
        raise FileNotFoundError(
            f"no {VALIDATION_PHOTOS}.csv in {str(folder)!r}: set the folder of the archives with "
            "--data or LOOKSTREAM_DATA"
        )
    return folder


def default_cache() -> Path:
    """The default folder for decoded photos."""
    return Path(tempfile.gettempdir()) / "lookstream-training"


def read_examples(folder: Path, archive: str) -> list[Example]:
    """The examples of one archive, from NAME.csv in ``folder``."""
    with (folder / f"{archive}.csv").open(newline="", encoding="utf-8") as file:
        return examples_of(archive, list(csv.DictReader(file)))


def examples_of(archive: str, rows: Sequence[dict[str, str]]) -> list[Example]:
    """The rows of a table as examples. A table with article types is a catalogue's."""
    if rows and "articleType" in rows[0]:
        return [_catalogue_example(archive, row) for row in rows]
    held_out = archive != TRAIN_PHOTOS
    return [
        Example(
            archive, row["file"], PHOTO_CLASSES[row["label"]], held_out,
            sleeve=SLEEVE_OF_CLASS.get(row["label"]),
        )
        for row in rows
    ]  # fmt: skip


def _catalogue_example(archive: str, row: dict[str, str]) -> Example:
    word, title = type_word(row["articleType"]), row["productDisplayName"]
    return Example(
        archive=archive,
        member=row["file"],
        types=(word,) if word else (),
        held_out=is_held_out(title),
        colour=colour_word(row["baseColour"]),
        gender=gender_word(row["gender"]),
        pattern=pattern_word(title, row["masterCategory"]),
        sleeve=sleeve_word(title, word),
        neckline=neckline_word(title, word),
        title=title,
        is_catalogue=True,
    )


def words_of(examples: Sequence[Example]) -> Words:
    """The vocabularies: catalogue words with enough examples, and all types of people's photos."""
    photo_words = sorted({w for e in examples if not e.is_catalogue for w in e.types})
    catalogue = [e for e in examples if e.is_catalogue]
    return Words(
        type=vocabulary((w for e in catalogue for w in e.types), always=photo_words),
        colour=vocabulary(e.colour for e in catalogue),
        gender=vocabulary(e.gender for e in catalogue),
        pattern=vocabulary(e.pattern for e in catalogue),
        sleeve=vocabulary(e.sleeve for e in catalogue),
        neckline=vocabulary(e.neckline for e in catalogue),
    )


def load_photos(folder: Path, cache: Path, archives: Sequence[str]) -> Photos:
    """The examples and photos of the archives. The first call decodes the photos into `cache`.

    Raises FileNotFoundError if an archive lacks photos of its table.
    """
    parts: list[NDArray[np.uint8]] = []
    examples: list[Example] = []
    for archive in archives:
        listed = read_examples(folder, archive)
        pixels = _decoded(folder, cache, archive, listed)
        parts.append(pixels)
        examples.extend(listed)
    joined = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return Photos(tuple(examples), joined)


def _decoded(
    folder: Path, cache: Path, archive: str, examples: Sequence[Example]
) -> NDArray[np.uint8]:
    path = cache / f"{archive}-{SIZE}.npy"
    listing = cache / f"{archive}-{SIZE}.json"
    members = [example.member for example in examples]
    if not (listing.is_file() and json.loads(listing.read_text()) == members):
        cache.mkdir(parents=True, exist_ok=True)
        shape = (len(members), SIZE, SIZE, 4)
        out: NDArray[np.uint8] = np.lib.format.open_memmap(  # type: ignore[no-untyped-call]
            path, mode="w+", dtype=np.uint8, shape=shape
        )
        places = {member: place for place, member in enumerate(members)}
        for member, image in read_archive(folder / f"{archive}.tar"):
            if member in places:
                out[places.pop(member)] = rgba(image, masked=archive in CATALOGUES)
        if places:
            raise FileNotFoundError(f"{archive}.tar lacks {len(places)} photos of its table")
        del out
        listing.write_text(json.dumps(members))
    loaded: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return loaded


def read_archive(path: Path) -> Iterator[tuple[str, Image.Image]]:
    """Each file name without its folder and the photo (RGB), in the archive's order."""
    with tarfile.open(path) as tar:
        for entry in tar:
            file = tar.extractfile(entry) if entry.isfile() else None
            if file is not None:
                with Image.open(file) as image:
                    yield Path(entry.name).name, image.convert("RGB")


def rgba(image: Image.Image, masked: bool) -> NDArray[np.uint8]:
    """A photo as (SIZE, SIZE, 4) bytes. If `masked`, white surroundings are transparent."""
    method = Image.Resampling.BOX if image.width > 2 * SIZE else Image.Resampling.BILINEAR
    rgb = np.asarray(image.resize((SIZE, SIZE), method))
    mask = product_mask(np.asarray(image)) if masked else None
    alpha = np.full((SIZE, SIZE), 255, np.uint8) if mask is None else soft_alpha(mask, SIZE)
    return np.dstack([rgb, alpha])


def describe(words: Words) -> dict[str, str]:
    """The vocabularies as metadata of a weights file: a JSON list for each head."""
    return {head: json.dumps(listed) for head, listed in asdict(words).items()}
