"""What the captioning stage needs of whoever looks at the photos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from agents.stage import Stopgap
from storage.artifacts import ArtifactStore
from streams.events import Captioned

Described = Captioned | Stopgap | Exception


class Captioner(Protocol):
    """Describes garments. Blocking and thread-safe.

    ``model_id`` is what its captions name as their model; ``version`` changes whenever the same
    photo would be described in another way.
    """

    @property
    def model_id(self) -> str: ...

    @property
    def version(self) -> str: ...

    def describe(self, contents: Sequence[str], artifacts: ArtifactStore) -> Sequence[Described]:
        """Return a caption or an exception for each SHA-256 of ``contents``, in order."""
        ...

    def warm_up(self) -> None:
        """Do now what would make the first photo wait."""
        ...
