"""The shipped weights on drawn pictures."""

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from agents.vision.networks.model import SHIPPED, GarmentModel
from agents.vision.networks.prediction import Prediction, ranking
from agents.vision.text.caption import caption
from agents.vision.text.naming import Thresholds


@pytest.fixture(scope="module")
def model() -> GarmentModel:
    return GarmentModel.load()


def drawn(colour: str, size: tuple[int, int] = (300, 400)) -> Image.Image:
    """A T-shirt's outline in one colour on a light ground."""
    picture = Image.new("RGB", size, (236, 232, 226))
    width, height = size
    left = [(0.42, 0.15), (0.32, 0.1), (0.05, 0.3), (0.16, 0.42), (0.26, 0.34), (0.26, 0.9)]
    outline = left + [(1 - x, y) for x, y in reversed(left)]
    points = [(x * width, y * height) for x, y in outline]
    ImageDraw.Draw(picture).polygon(points, fill=colour)
    return picture


PICTURES = [
    drawn("crimson"),
    drawn("navy", (640, 480)),
    drawn("black", (200, 600)),
    drawn("forestgreen"),
    drawn("gold", (97, 131)),
]


def shares(prediction: Prediction) -> dict[str, float]:
    return {**dict(prediction.types), **dict(prediction.colours), **dict(prediction.genders)}


def cosine(one: Prediction, other: Prediction) -> float:
    return sum(a * b for a, b in zip(one.embedding, other.embedding, strict=True))


def test_the_shipped_weights_are_small_and_named_by_their_content(model: GarmentModel) -> None:
    assert SHIPPED.stat().st_size < 25_000_000
    name, digest = model.model_id.split("@")
    assert name == "garment-3"
    assert len(digest) == 8
    assert GarmentModel.load(SHIPPED).model_id == model.model_id


def test_every_ranking_is_complete_ordered_and_sums_to_at_most_one(model: GarmentModel) -> None:
    for prediction in model.predict(PICTURES):
        for found, head in (
            (prediction.types, "type"),
            (prediction.colours, "colour"),
            (prediction.genders, "gender"),
            (prediction.patterns, "pattern"),
            (prediction.sleeves, "sleeve"),
            (prediction.necklines, "neckline"),
        ):
            values = [share for _, share in found]
            assert sorted(word for word, _ in found) == sorted(model.vocabularies[head])
            assert values == sorted(values, reverse=True)
            assert 0.99 < sum(values) <= 1
            assert min(values) >= 0


def test_type_words_are_lower_case_and_unique(model: GarmentModel) -> None:
    types = model.vocabularies["type"]
    assert {"t-shirt", "dress", "long sleeve top", "coat", "jeans"} <= set(types)
    assert len(types) == len(set(types))
    assert all(word == word.lower().strip() and word for word in types)


def test_embeddings_have_length_1_and_are_close_for_similar_photos(model: GarmentModel) -> None:
    red, again, navy = model.predict(
        [drawn("crimson"), drawn("crimson", (310, 410)), drawn("navy")]
    )
    assert math.hypot(*red.embedding) == pytest.approx(1, abs=0.01)
    alike, other = cosine(red, again), cosine(red, navy)
    assert alike > 0.9
    assert alike > other


def test_the_mask_is_where_the_garment_is(model: GarmentModel) -> None:
    (found,) = model.predict([drawn("forestgreen")])
    assert found.mask is not None
    mask = found.mask.to(300, 400)
    assert mask.shape == (400, 300)
    assert mask[160:340, 110:190].mean() > 0.8
    assert mask[360:, :60].mean() < 0.2


def test_the_colour_is_measured_on_the_garment(model: GarmentModel) -> None:
    (found,) = model.predict([drawn("black")])
    assert {"black", "navy blue", "coffee brown", "charcoal"} & {w for w, _ in found.measured[:1]}


def test_titles_are_ordered_by_score(model: GarmentModel) -> None:
    for found in model.predict(PICTURES):
        scores = [title.score for title in found.titles]
        assert scores == sorted(scores, reverse=True)
        assert found.titles[0].words


def test_the_same_photo_gives_the_same_answer(model: GarmentModel) -> None:
    assert model.predict(PICTURES) == model.predict(PICTURES)


def test_a_batch_gives_the_same_results_as_single_photos(model: GarmentModel) -> None:
    singles = [model.predict([picture])[0] for picture in PICTURES]
    for single, batched in zip(singles, model.predict(PICTURES), strict=True):
        assert shares(batched) == pytest.approx(shares(single), abs=1e-4)


def test_more_photos_than_a_batch_keep_their_order(model: GarmentModel) -> None:
    many = [PICTURES[index % len(PICTURES)] for index in range(70)]
    found = model.predict(many)
    assert len(found) == 70
    assert shares(found[68]) == pytest.approx(shares(found[3]), abs=1e-4)


def test_no_photos_give_no_predictions(model: GarmentModel) -> None:
    assert model.predict([]) == []


@pytest.mark.parametrize(("colour", "word"), [("crimson", "red"), ("black", "black")])
def test_a_drawn_shirt_has_its_colour(model: GarmentModel, colour: str, word: str) -> None:
    prediction = model.predict([drawn(colour)])[0]
    assert word in [name for name, _ in prediction.colours[:3]]


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "RGBA", "LA", "1"])
def test_every_image_mode_is_accepted(model: GarmentModel, mode: str) -> None:
    picture = drawn("black").convert("RGBA" if mode == "LA" else "RGB").convert(mode)
    assert len(model.predict([picture])) == 1


def test_transparency_is_seen_as_white(model: GarmentModel) -> None:
    opaque = Image.new("RGB", (96, 96), "white")
    clear = Image.new("RGBA", (96, 96), (0, 0, 0, 0))
    square = Image.new("RGB", (40, 60), "crimson")
    opaque.paste(square, (28, 18))
    clear.paste(square, (28, 18))
    assert model.predict([clear]) == model.predict([opaque])


def test_predicting_does_not_change_the_photo(model: GarmentModel) -> None:
    picture = drawn("crimson")
    before = picture.tobytes()
    model.predict([picture])
    assert picture.tobytes() == before


def test_threads_share_one_model(model: GarmentModel) -> None:
    threads = torch.get_num_threads()
    alone = [model.predict([picture])[0] for picture in PICTURES]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: model.predict([PICTURES[n % 5]])[0], range(20)))
    assert [shares(prediction) for prediction in found] == [
        pytest.approx(shares(alone[n % 5]), abs=1e-4) for n in range(20)
    ]
    assert torch.get_num_threads() == threads


def test_captions_come_out_of_real_predictions(model: GarmentModel) -> None:
    assert all(0 < len(caption(found)) <= 80 for found in model.predict(PICTURES))


def test_probabilities_are_rounded_down_and_ties_keep_their_order() -> None:
    assert ranking(["b", "a", "c"], [0.3333336, 0.3333336, 0.3333328]) == (
        ("a", 0.333333),
        ("b", 0.333333),
        ("c", 0.333332),
    )


@pytest.mark.parametrize("content", [b"", b"not weights at all", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_file_without_a_garment_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not a garment model"):
        GarmentModel.load(path)


def test_missing_weights_are_reported(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        GarmentModel.load(tmp_path / "none.safetensors")


def test_a_higher_precision_has_higher_thresholds() -> None:
    low, high = (GarmentModel.load(precision=p).predict(PICTURES[:1])[0] for p in (0.8, 0.98))
    assert low.thresholds.type < high.thresholds.type
    assert low.types == high.types


def test_a_file_of_an_earlier_version_has_the_default_thresholds(tmp_path: Path) -> None:
    with safe_open(SHIPPED, framework="pt") as file:
        metadata = file.metadata()
    for name in ("decoded", "joint", "thresholds"):
        del metadata[name]
    path = tmp_path / "earlier.safetensors"
    save_file(load_file(SHIPPED), path, metadata)
    (found,) = GarmentModel.load(path).predict(PICTURES[:1])
    assert found.thresholds == Thresholds()
    assert found.colours
