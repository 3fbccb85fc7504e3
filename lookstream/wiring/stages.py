"""Import the custom stages and build all stages from the settings."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from agents.stages.stage import Stage
from lookstream.errors import CannotStart
from lookstream.settings import Settings
from streams.events.models import Event
from streams.stages.graph import StageGraph
from streams.stages.registry import BUILT_IN, EVENTS, PIPELINE

if TYPE_CHECKING:
    from agents.inputs.decoding import Decoder
    from agents.inputs.fetching import Fetcher
    from agents.stages.captioning import Captioner
    from agents.stages.predictions import SharedPredictions
    from agents.stages.resources import CaptionSource
    from agents.vision.geometry.landmarks import LandmarkFinder
    from agents.vision.geometry.wearer import WearerFinder
    from agents.vision.text.vocabulary import Vocabulary


log = structlog.get_logger()

NETWORK_STAGES = tuple(stage.name for stage in BUILT_IN if stage.uses_network)
"""The stages that use the garment network. In one process, they share one pass per photo."""


def custom_stages(settings: Settings) -> tuple[Stage, ...]:
    """Return the stages that ``LOOKSTREAM_STAGES`` names as ``module:attribute``.

    An attribute is a stage, or a function that returns one. Functions run once per process.
    Raises `CannotStart` if a name leads to no stage.
    """
    return _import_stages(settings.stages)


@cache
def _import_stages(names: str) -> tuple[Stage, ...]:
    return tuple(_import_stage(name.strip()) for name in names.split(",") if name.strip())


def _import_stage(name: str) -> Stage:
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise CannotStart(f"LOOKSTREAM_STAGES: cannot import {name}: {error}") from error
    stage = found() if callable(found) else found
    if not isinstance(stage, Stage):
        raise CannotStart(f"LOOKSTREAM_STAGES: {name} is a {type(stage).__name__}, not a Stage")
    return stage


def stage_graph(settings: Settings) -> StageGraph:
    """Return the graph of all stages, without loading any network.

    Each custom stage may write artifacts under ``stages/<name>`` without declaring the prefix.
    Raises `CannotStart` if a custom stage does not fit the other stages.
    """
    custom = [
        replace(stage.node, artifacts=(*stage.artifacts, f"stages/{stage.name}"))
        for stage in custom_stages(settings)
    ]
    try:
        return StageGraph([*PIPELINE, *custom])
    except ValueError as error:
        raise CannotStart(f"LOOKSTREAM_STAGES: {error}") from error


def event_models(settings: Settings) -> list[type[Event]]:
    """Return all events that travel through this installation."""
    return [*EVENTS, *(stage.emits for stage in custom_stages(settings))]


class StageBuilder:
    """Builds stages. Provides the built-in stages' `agents.stages.resources.Resources`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def build(self, names: Iterable[str]) -> list[Stage]:
        """Build the named stages."""
        wanted = set(names)
        builtin = [stage.name for stage in BUILT_IN if stage.name in wanted]
        modules = [import_module(f"agents.stages.{name}") for name in builtin]
        extras = [stage for stage in custom_stages(self._settings) if stage.name in wanted]
        return [*(module.build(self) for module in modules), *extras]

    def forget(self) -> None:
        """Load the networks and the vocabulary again for the stages that are built from now on."""
        for name in ("predictions", "vocabulary"):
            self.__dict__.pop(name, None)

    @property
    def max_bytes(self) -> int:
        return self._settings.max_bytes

    @property
    def thumbnail_sizes(self) -> Sequence[tuple[int, int]]:
        return self._settings.thumbnail_sizes

    @cached_property
    def decoder(self) -> Decoder:
        from agents.inputs.decoding import Decoder

        decoder = Decoder(
            processes=self._settings.threads or os.cpu_count() or 1,
            timeout_s=self._settings.decode_timeout_s,
            cpu_s=self._settings.decode_cpu_s,
            max_pixels=self._settings.max_pixels,
            memory_bytes=self._settings.decode_memory_mib << 20 or None,
        )
        if missing := decoder.confinement.missing:
            log.warning("decoder_sandbox_incomplete", missing=missing)
        return decoder

    @property
    def fetcher(self) -> Fetcher:
        from agents.inputs.fetching import Fetcher

        return Fetcher(
            allowed_networks=self._settings.allowed_networks,
            max_bytes=self._settings.max_bytes,
            timeout_s=self._settings.url_timeout_s,
        )

    @cached_property
    def predictions(self) -> SharedPredictions:
        from agents.stages.predictions import SharedPredictions
        from agents.vision.networks.model import GarmentModel

        weights = self._settings.weights
        return SharedPredictions(GarmentModel.load(Path(weights) if weights else None))

    @cached_property
    def wearers(self) -> WearerFinder:
        from agents.vision.geometry.wearer import WearerFinder

        return WearerFinder()

    @property
    def landmarks(self) -> LandmarkFinder:
        from agents.vision.geometry.landmarks import LandmarkFinder

        return LandmarkFinder.load()

    @cached_property
    def vocabulary(self) -> Vocabulary:
        from lookstream.wiring.vocabulary import open_vocabulary

        return open_vocabulary(self._settings)

    @property
    def captions(self) -> CaptionSource:
        from agents.captioners.local import LocalCaptioner
        from lookstream.wiring.captions import caption_source

        return caption_source(
            self._settings,
            self._chosen,
            lambda: LocalCaptioner(self.predictions, self.vocabulary),
        )

    @cached_property
    def _chosen(self) -> Captioner | None:
        from lookstream.wiring.captions import open_chosen

        return open_chosen(self._settings)
