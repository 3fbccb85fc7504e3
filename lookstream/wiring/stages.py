"""The stages, built out of settings."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lookstream.settings import Settings
from lookstream.wiring.gateway import extra_stages
from streams.stages.graph import PIPELINE

if TYPE_CHECKING:
    from agents.inputs.decoding import Decoder
    from agents.stages.captioning import Captioner
    from agents.stages.predictions import SharedPredictions
    from agents.stages.stage import Stage
    from agents.vision.geometry.wearer import WearerFinder
    from agents.vision.text.vocabulary import Vocabulary


SEEING = ("captioning", "classification", "pose")
"""The stages that look through the networks: one pass is shared by those of one process."""


class StageBuilder:
    """Builds stages, and loads only what they need (torch and mediapipe take seconds).

    One method a built-in stage; what several of them share is made once.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def build(self, names: Iterable[str]) -> list[Stage]:
        """Build the named stages."""
        wanted = set(names)
        builtin = [node.name for node in PIPELINE if node.name in wanted]
        extras = [stage for stage in extra_stages(self._settings) if stage.name in wanted]
        return [*(getattr(self, name)() for name in builtin), *extras]

    def forget(self) -> None:
        """Load the networks and the vocabulary anew for what is built from now on."""
        for name in ("_predictions", "_vocabulary"):
            self.__dict__.pop(name, None)

    @cached_property
    def _decoder(self) -> Decoder:
        from agents.inputs.decoding import Decoder

        return Decoder(
            processes=self._settings.threads or os.cpu_count() or 1,
            timeout_s=self._settings.decode_timeout_s,
            max_pixels=self._settings.max_pixels,
        )

    @cached_property
    def _predictions(self) -> SharedPredictions:
        from agents.stages.predictions import SharedPredictions
        from agents.vision.networks.model import GarmentModel

        weights = self._settings.weights
        return SharedPredictions(GarmentModel.load(Path(weights) if weights else None))

    @cached_property
    def _wearers(self) -> WearerFinder:
        from agents.vision.geometry.wearer import WearerFinder

        return WearerFinder()

    @cached_property
    def _chosen(self) -> Captioner | None:
        from lookstream.wiring.captions import open_chosen

        return open_chosen(self._settings)

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        from lookstream.wiring.vocabulary import open_vocabulary

        return open_vocabulary(self._settings)

    def validation(self) -> Stage:
        from agents.inputs.fetching import Fetcher
        from agents.stages.validation import validation_stage

        fetcher = Fetcher(
            allowed_networks=self._settings.allowed_networks,
            max_bytes=self._settings.max_bytes,
            timeout_s=self._settings.url_timeout_s,
        )
        return validation_stage(
            decoder=self._decoder, fetcher=fetcher, max_bytes=self._settings.max_bytes
        )

    def captioning(self) -> Stage:
        from agents.captioners.local import LocalCaptioner
        from lookstream.wiring.captions import build_captioning

        return build_captioning(
            self._settings,
            self._chosen,
            lambda: LocalCaptioner(self._predictions, self._vocabulary),
        )

    def classification(self) -> Stage:
        from agents.stages.classification import classification_stage

        return classification_stage(predictions=self._predictions, own=self._vocabulary)

    def pose(self) -> Stage:
        from agents.stages.pose import pose_stage
        from agents.vision.geometry.landmarks import LandmarkFinder

        return pose_stage(
            wearers=self._wearers,
            landmarks=LandmarkFinder.load(),
            predictions=self._predictions,
        )

    def shots(self) -> Stage:
        from agents.stages.shots import shots_stage

        return shots_stage(decoder=self._decoder)

    def thumbnailing(self) -> Stage:
        from agents.stages.thumbnailing import thumbnailing_stage

        return thumbnailing_stage(sizes=self._settings.thumbnail_sizes)

    def annotation(self) -> Stage:
        from agents.stages.annotation import annotation_stage

        return annotation_stage()
