"""All stages after validation, with drawn garments and a store in a directory."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import numpy as np
import pytest
from PIL import Image

from agents.captioners.local import LocalCaptioner
from agents.inputs.decoding import Decoder
from agents.stages.annotation import annotation_stage
from agents.stages.captioning import captioning_stage
from agents.stages.classification import classification_stage
from agents.stages.errors import Rejected, TakesLong
from agents.stages.pose import pose_stage
from agents.stages.predictions import SharedPredictions
from agents.stages.shots import shots_stage
from agents.stages.stage import Stage
from agents.stages.thumbnailing import thumbnailing_stage
from agents.stages.validation import validation_stage
from agents.vision.geometry.landmarks import LandmarkFinder
from agents.vision.geometry.wearer import WearerFinder
from agents.vision.images.drawing import draw_figure
from agents.vision.networks.model import GarmentModel, Prediction
from agents.vision.networks.prediction import Found
from agents.vision.text.garments import below
from storage.artifacts import keys
from storage.artifacts.directory import DirectoryArtifacts
from storage.artifacts.links import LinkSigner
from storage.errors import ArtifactNotFound
from streams.events.models import (
    Captioned,
    Classified,
    Drawn,
    Event,
    ImageClassified,
    ImageSubmitted,
    ImageValidated,
    Payload,
    Posed,
    PoseEstimated,
    ShotsPostponed,
    ShotsTaken,
    Source,
    StageResult,
    Thumbnailed,
    Validated,
)
from tests.garments import jpeg, textured, trousers, tshirt

P = TypeVar("P", bound=Payload)
R = TypeVar("R", bound=StageResult)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(processes=1)
    yield decoder
    decoder.close()


@pytest.fixture(scope="module")
def wearers() -> WearerFinder:
    return WearerFinder()


@pytest.fixture(scope="module")
def landmarks() -> LandmarkFinder:
    return LandmarkFinder.load()


@pytest.fixture(scope="module")
def model() -> GarmentModel:
    return GarmentModel.load()


@pytest.fixture(scope="module")
def posing(wearers: WearerFinder, landmarks: LandmarkFinder, model: GarmentModel) -> Stage:
    return pose_stage(wearers=wearers, landmarks=landmarks, predictions=SharedPredictions(model))


@pytest.fixture
def store(tmp_path: Path) -> DirectoryArtifacts:
    return DirectoryArtifacts(tmp_path, LinkSigner(b"0123456789abcdef", ""))


def run(stage: Stage, event: Event, store: DirectoryArtifacts, kind: type[P]) -> P:
    (found,) = stage.handle([event], store)
    assert isinstance(found, kind), found
    return found


def told(event: type[R], job: str, sha256: str, payload: Payload) -> R:
    return event.model_validate({**payload.model_dump(), "job_id": job, "sha256": sha256})


def validated(image: Image.Image, store: DirectoryArtifacts, decoder: Decoder) -> ImageValidated:
    job = str(uuid4())
    store.put(keys.incoming(job), jpeg(image, quality=90))
    stage = validation_stage(decoder=decoder)
    event = ImageSubmitted(job_id=job, source=Source(object=keys.incoming(job)))
    payload = run(stage, event, store, Validated)
    return told(ImageValidated, job, payload.sha256, payload)


def picture(store: DirectoryArtifacts, key: str) -> Image.Image:
    return Image.open(io.BytesIO(store.get(key)))


def test_a_laid_out_tshirt_is_cut_from_the_original(
    store: DirectoryArtifacts, decoder: Decoder, posing: Stage
) -> None:
    big = tshirt((1800, 2400), background=textured((1800, 2400)))
    event = validated(big, store, decoder)
    posed = run(posing, event, store, Posed)
    assert posed.subject == "laid-out"
    assert posed.cutout
    cutout = picture(store, posed.cutout)
    assert cutout.mode == "RGBA"
    assert cutout.getchannel("A").getextrema() == (0, 255)
    stage = shots_stage(decoder=decoder)
    taken = run(stage, told(PoseEstimated, event.job_id, event.sha256, posed), store, ShotsTaken)
    assert {shot.label for shot in taken.shots} == {
        "full", "neck", "length", "zoom", "hem", "sleeve",
    }  # fmt: skip
    for shot in taken.shots:
        cut = picture(store, shot.key)
        assert cut.width == pytest.approx((shot.box.right - shot.box.left) * 1800, abs=2)
        assert cut.height == pytest.approx((shot.box.bottom - shot.box.top) * 2400, abs=2)
    fabric = next(shot for shot in taken.shots if shot.label == "zoom")
    pixels = np.asarray(picture(store, fabric.key)).reshape(-1, 3)
    assert np.abs(pixels.mean(axis=0) - (178, 34, 34)).max() < 12, "nothing but fabric"


def test_shots_of_a_photo_that_takes_long_are_cut_beside_the_others(
    store: DirectoryArtifacts, decoder: Decoder, posing: Stage
) -> None:
    event = validated(tshirt((1800, 2400)), store, decoder)
    posed = run(posing, event, store, Posed)
    stage = shots_stage(decoder=decoder, quick_s=0.01)
    taken = told(PoseEstimated, event.job_id, event.sha256, posed)
    (late,) = stage.handle([taken], store)
    assert isinstance(late, TakesLong), late
    slow = stage.slow_part()
    assert slow is not None
    assert stage.postponed is not None
    postponed = stage.postponed(taken)
    assert isinstance(postponed, ShotsPostponed)
    found = run(slow, postponed, store, ShotsTaken)
    assert found == run(shots_stage(decoder=decoder), taken, store, ShotsTaken)
    assert {shot.label for shot in found.shots} >= {"full", "neck"}


def test_trousers_give_no_neck_and_no_sleeve(
    store: DirectoryArtifacts, decoder: Decoder, posing: Stage
) -> None:
    event = validated(trousers((600, 800)), store, decoder)
    posed = run(posing, event, store, Posed)
    stage = shots_stage(decoder=decoder)
    taken = run(stage, told(PoseEstimated, event.job_id, event.sha256, posed), store, ShotsTaken)
    assert {shot.label for shot in taken.shots} == {"full", "zoom", "hem"}


def test_a_worn_garment_has_a_wearer(
    store: DirectoryArtifacts, decoder: Decoder, posing: Stage
) -> None:
    event = validated(draw_figure().resize((768, 960)), store, decoder)
    posed = run(posing, event, store, Posed)
    assert posed.subject == "worn"
    assert {"nose", "left_shoulder", "right_hip"} <= {point.name for point in posed.keypoints}
    assert posed.cutout
    stage = shots_stage(decoder=decoder)
    taken = run(stage, told(PoseEstimated, event.job_id, event.sha256, posed), store, ShotsTaken)
    assert {"full", "neck", "length"} <= {shot.label for shot in taken.shots}


@pytest.mark.parametrize("seed", [0, 4, 5, 8])
def test_a_floor_without_a_garment_has_no_subject_and_no_shots(
    seed: int, store: DirectoryArtifacts, decoder: Decoder, posing: Stage
) -> None:
    event = validated(textured((300, 300), seed=seed), store, decoder)
    posed = run(posing, event, store, Posed)
    assert posed == Posed(subject="none", model=posing.version)
    stage = shots_stage(decoder=decoder)
    taken = run(stage, told(PoseEstimated, event.job_id, event.sha256, posed), store, ShotsTaken)
    assert taken == ShotsTaken()


def test_a_figure_printed_on_a_tshirt_is_not_a_wearer(
    store: DirectoryArtifacts, decoder: Decoder, posing: Stage
) -> None:
    shirt = tshirt((900, 1200), "white", "saddlebrown")
    shirt.paste(draw_figure(background="white").resize((200, 250)), (350, 450))
    posed = run(
        posing,
        validated(shirt, store, decoder),
        store,
        Posed,
    )
    assert posed.subject == "laid-out"


@pytest.mark.parametrize("size", [(480, 640), (640, 480), (30, 20), (1200, 60)])
def test_thumbnails_fit_and_are_never_enlarged(
    size: tuple[int, int], store: DirectoryArtifacts, decoder: Decoder
) -> None:
    event = validated(tshirt(size), store, decoder)
    stage = thumbnailing_stage(sizes=((128, 128), (512, 64)))
    made = run(stage, event, store, Thumbnailed)
    assert len(made.thumbnails) == 2
    assert made.thumbhash
    for thumbnail, (width, height) in zip(made.thumbnails, ((128, 128), (512, 64)), strict=True):
        image = picture(store, thumbnail.key)
        assert image.size == (thumbnail.width, thumbnail.height)
        assert thumbnail.width <= min(width, size[0])
        assert thumbnail.height <= min(height, size[1])
        assert thumbnail.width / thumbnail.height == pytest.approx(size[0] / size[1], rel=0.1)


def test_a_version_changes_with_the_sizes_and_the_model(decoder: Decoder) -> None:
    small, large = thumbnailing_stage(sizes=((64, 64),)), thumbnailing_stage(sizes=((512, 512),))
    assert small.version != large.version
    facts = {"job_id": str(uuid4()), "sha256": "a" * 64}
    classes = [ImageClassified(**facts, top5=(), model=model) for model in ("a", "b")]
    poses = [PoseEstimated(**facts, subject="none", model=model) for model in ("a", "b")]
    assert len({annotation_stage().version_for(event) for event in classes}) == 2
    assert len({shots_stage(decoder=decoder).version_for(event) for event in poses}) == 2


class Counting:
    """The shipped network; counts the calls."""

    def __init__(self, model: GarmentModel) -> None:
        self._model = model
        self.model_id = model.model_id
        self.asked: list[int] = []

    def predict(self, images: list[Image.Image]) -> list[Prediction]:
        self.asked.append(len(images))
        return self._model.predict(images)


def test_captions_and_classes_come_from_one_pass(
    store: DirectoryArtifacts, decoder: Decoder, model: GarmentModel
) -> None:
    events = [validated(tshirt((90 + n, 120)), store, decoder) for n in range(3)]
    lost = events[0].model_copy(update={"sha256": "0" * 64})
    counting = Counting(model)
    predictions = SharedPredictions(counting)  # type: ignore[arg-type]
    captions = captioning_stage(LocalCaptioner(predictions)).handle([*events, lost], store)
    classes = classification_stage(predictions=predictions).handle([*events, lost], store)
    assert counting.asked == [3]
    assert isinstance(captions[3], ArtifactNotFound)
    assert isinstance(classes[3], ArtifactNotFound)
    for caption, top in zip(captions[:3], classes[:3], strict=True):
        assert isinstance(caption, Captioned)
        assert isinstance(top, Classified)
        assert caption.model == top.model == model.model_id
        assert 0 < len(caption.caption) <= 80
        chances = [label.probability for label in top.top5]
        assert len(chances) == 5
        assert chances == sorted(chances, reverse=True)


def test_an_index_beyond_the_garments_describes_the_main_one(
    store: DirectoryArtifacts, decoder: Decoder, model: GarmentModel
) -> None:
    event = validated(tshirt((300, 400)), store, decoder)
    wanted = [event.model_copy(update={"wanted_item": item}) for item in (None, 0, 99)]
    predictions = SharedPredictions(model)
    stage = captioning_stage(LocalCaptioner(predictions))
    usual, first, beyond = stage.handle(wanted, store)
    assert isinstance(usual, Captioned)
    assert usual.item == 0
    assert first == usual
    assert beyond == usual.model_copy(update={"needs_review": True})
    assert len({stage.version_for(each) for each in wanted}) == 3
    (classes,) = classification_stage(predictions=predictions).handle([event], store)
    assert isinstance(classes, Classified)
    assert len(classes.items) == 1


def test_the_caption_describes_the_wanted_garment(
    store: DirectoryArtifacts, decoder: Decoder, model: GarmentModel
) -> None:
    event = validated(trousers((300, 400)), store, decoder)
    wanted = event.model_copy(update={"wanted_item": 1})
    (seen,) = model.predict([Image.open(io.BytesIO(store.get(event.working)))])
    places = [Found("top", 0.9, (0, 0, 1, 0.5)), Found("pants", 0.9, (0, 0, 1, 1))]
    first = [replace(seen, items=tuple(places))]

    class TwoGarments:
        """The network; its first prediction has two garments, which no drawing shows."""

        model_id = model.model_id

        def predict(self, images: list[Image.Image]) -> list[Prediction]:
            return [first.pop()] if first else model.predict(images)

    predictions = SharedPredictions(TwoGarments())  # type: ignore[arg-type]
    (told_,) = captioning_stage(LocalCaptioner(predictions)).handle([wanted], store)
    assert isinstance(told_, Captioned)
    assert told_.item == 1
    assert told_.attributes["type"].value in below("pants")


def test_the_classes_are_drawn(store: DirectoryArtifacts, decoder: Decoder) -> None:
    event = validated(tshirt((300, 400)), store, decoder)
    top5 = [{"label": f"class {n}", "probability": 0.5 / n} for n in range(1, 6)]
    classified = told(
        ImageClassified,
        event.job_id,
        event.sha256,
        Classified.model_validate({"top5": top5, "model": "m"}),
    )
    drawn = run(annotation_stage(), classified, store, Drawn)
    assert (drawn.width, drawn.height) == (1000, 1333)
    assert picture(store, drawn.key).size == (1000, 1333)


def test_shots_of_an_original_that_no_longer_decodes_are_rejected(
    store: DirectoryArtifacts, decoder: Decoder
) -> None:
    store.put(keys.original("a" * 64), b"damaged")
    event = PoseEstimated.model_validate(
        {
            "job_id": str(uuid4()), "sha256": "a" * 64, "subject": "laid-out", "model": "m",
            "box": {"left": 0, "top": 0, "right": 1, "bottom": 1},
        }
    )  # fmt: skip
    (found,) = shots_stage(decoder=decoder).handle([event], store)
    assert isinstance(found, Rejected)
