"""What the built-in stages are built from. `lookstream.wiring.stages` provides it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from agents.inputs.decoding import Decoder
    from agents.stages.captioning import Captioner
    from agents.stages.predictions import SharedPredictions
    from agents.vision.geometry.landmarks import LandmarkFinder
    from agents.vision.geometry.wearer import WearerFinder
    from agents.vision.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class CaptionSource:
    """The chosen captioner, and the batch size, time-out and threads that suit it."""

    captioner: Captioner
    batch: int = 8
    timeout_s: float = 60.0
    threads: int = 0


class Resources(Protocol):
    """Objects that several stages of a process share. Each is created when it is first used,
    because torch and mediapipe take seconds to load."""

    @property
    def decoder(self) -> Decoder: ...

    @property
    def predictions(self) -> SharedPredictions: ...

    @property
    def wearers(self) -> WearerFinder: ...

    @property
    def landmarks(self) -> LandmarkFinder: ...

    @property
    def vocabulary(self) -> Vocabulary: ...

    @property
    def captions(self) -> CaptionSource: ...

    @property
    def max_bytes(self) -> int: ...

    @property
    def thumbnail_sizes(self) -> Sequence[tuple[int, int]]: ...
