"""The training data: clean labels, held-out titles, and decoded photos in the labels' order."""

import csv
import io
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from training.photos.data import (
    SIZE,
    data_folder,
    load_photos,
    read_examples,
    words_of,
)
from training.photos.labels import (
    PHOTO_CLASSES,
    colour_word,
    gender_word,
    is_held_out,
    neckline_word,
    pattern_word,
    photo_class,
    sleeve_word,
    title_key,
    type_word,
    vocabulary,
)

FIELDS = (
    "file", "gender", "masterCategory", "articleType", "baseColour", "productDisplayName",
)  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        ("Tshirts", "t-shirt"),
        ("T-shirt", "t-shirt"),
        ("Tshirt", "t-shirt"),
        ("Lounge Tshirts", "lounge tshirt"),
        ("Dresses", "dress"),
        ("Watches", "watch"),
        ("Jeans", "jeans"),
        ("Flip Flops", "flip flops"),
        ("Sweatshirts", "sweatshirt"),
        ("Scarves", "scarf"),
        ("Compact", "compact"),
        ("Shoe Accessories", "shoe accessory"),
        ("Free Gifts", None),
        ("", None),
    ],
)
def test_article_types_become_marketplace_words(raw: str, word: str | None) -> None:
    assert type_word(raw) == word


@pytest.mark.parametrize(
    ("raw", "word"),
    [("Navy Blue", "navy blue"), ("Multi", "multicolour"), ("Skin", "nude"), ("NA", None)],
)
def test_colours_become_words(raw: str, word: str | None) -> None:
    assert colour_word(raw) == word


def test_only_known_wearers_are_kept() -> None:
    assert [gender_word(g) for g in ("Men", "Girls", "Unisex", "NA")] == [
        "men",
        "girls",
        "unisex",
        None,
    ]


@pytest.mark.parametrize(
    ("title", "category", "word"),
    [
        ("Acme Men Check Shirt", "Apparel", "checked"),
        ("Acme Women Striped Top", "Apparel", "striped"),
        ("Acme Women Floral Print Top", "Apparel", "floral"),
        ("Acme Men Blue Shirt", "Apparel", "unstated"),
        ("Acme Men Striped Wallet", "Accessories", None),
    ],
)
def test_a_title_names_its_pattern(title: str, category: str, word: str | None) -> None:
    assert pattern_word(title, category) == word


def test_sleeves_are_the_title_s_or_the_type_s() -> None:
    assert sleeve_word("Acme Men Full Sleeve T-shirt", "t-shirt") == "long"
    assert sleeve_word("Acme Men T-shirt", "t-shirt") == "short"
    assert sleeve_word("Acme Men Shirt", "shirt") is None


def test_necklines_are_only_those_of_what_has_one() -> None:
    assert neckline_word("Acme Men V-Neck Sweater", "sweater") == "v-neck"
    assert neckline_word("Acme Men Sweater", "sweater") == "unstated"
    assert neckline_word("Acme Polo Jeans", "jeans") is None


def test_a_photo_s_class_is_that_of_its_likeliest_words_together() -> None:
    ranking = [("dress", 0.4), ("jeans", 0.3), ("trousers", 0.2), ("watch", 0.1)]
    name, share = photo_class(ranking)
    assert name == "pants"
    assert share == pytest.approx(0.5 / 0.9)


def test_rare_words_are_left_out_of_the_vocabulary() -> None:
    words = ["dress"] * 20 + ["shrug"] * 19 + [None] * 30
    assert vocabulary(words) == ("dress",)
    assert vocabulary(words, always=["hat"]) == ("dress", "hat")


def test_no_word_belongs_to_two_photo_classes() -> None:
    words = [word for members in PHOTO_CLASSES.values() for word in members]
    assert len(words) == len(set(words))


def test_titles_that_differ_in_case_and_marks_are_one_product() -> None:
    spellings = ["Acme Women's Red-Dress", "ACME  women s red dress"]
    assert len({title_key(title) for title in spellings}) == 1
    assert len({is_held_out(title) for title in spellings}) == 1


def test_about_eight_in_a_hundred_titles_are_held_out() -> None:
    held = sum(is_held_out(f"Acme Shirt {number}") for number in range(5000))
    assert 300 < held < 500


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small catalogue: 25 red t-shirts in three spellings, and one product of a rare type."""
    spellings = ["Tshirts", "T-shirt", "Tshirt"]
    rows = [
        (f"{n}.jpg", "Men", "Apparel", spellings[n % 3], "Red", f"Acme Men Polo Tee {n}")
        for n in range(25)
    ]
    rows.append(("25.jpg", "Women", "Apparel", "Shrug", "NA", "Acme Shrug"))
    with (tmp_path / "catalogue-224.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(FIELDS)
        writer.writerows(rows)
    with tarfile.open(tmp_path / "catalogue-224.tar", "w") as tar:
        for name, *_ in reversed(rows):
            tar.addfile(*_member(name))
    return tmp_path


def _member(name: str) -> tuple[tarfile.TarInfo, io.BytesIO]:
    shade = int(name.removesuffix(".jpg"))
    data = io.BytesIO()
    Image.new("RGB", (60, 80), (shade * 8, 0, 0)).save(data, "PNG")
    info = tarfile.TarInfo(f"photos/{name}")
    info.size = data.tell()
    data.seek(0)
    return info, data


def test_three_spellings_become_one_word(folder: Path) -> None:
    examples = read_examples(folder, "catalogue-224")
    words = words_of(examples)
    assert words.type == ("t-shirt",)
    assert words.colour == ("red",)
    assert words.gender == ("men",)
    assert words.neckline == ("polo collar",)
    assert words.sleeve == ("short",)
    assert examples[25].colour is None


def test_photos_stand_in_the_order_of_their_labels(folder: Path, tmp_path: Path) -> None:
    for _ in ("decoded", "read back"):
        photos = load_photos(folder, tmp_path / "cache", ["catalogue-224"])
        reds = photos.pixels[:, SIZE // 2, SIZE // 2, 0].tolist()
        assert reds == [n * 8 for n in range(26)]
        assert photos.pixels.shape == (26, SIZE, SIZE, 4)


def test_a_photo_missing_from_the_archive_is_reported(folder: Path, tmp_path: Path) -> None:
    with (folder / "catalogue-224.csv").open("a", encoding="utf-8") as file:
        file.write("gone.jpg,Men,Apparel,Tshirts,Red,Acme Tee\n")
    with pytest.raises(FileNotFoundError, match="lacks 1"):
        load_photos(folder, tmp_path / "cache", ["catalogue-224"])


def test_a_folder_without_archives_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="LOOKSTREAM_DATA"):
        data_folder(tmp_path)
