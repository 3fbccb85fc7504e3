"""What may be said of a submission besides its photos, in JSON and in forms alike."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gateway.problems import Problem
from streams.events import Lane, Metadata

LONGEST_GROUP = 128
MOST_METADATA = 16_000

# A NUL as JSON writes it; two backslashes before it are a backslash, and no NUL.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def plain(text: str) -> str:
    """Return ``text``; raise ValueError when it has control characters, or halves of one."""
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise ValueError("control characters are not allowed")
    return text


def _sized(metadata: dict[str, Any]) -> dict[str, Any]:
    """Refuse what no store could keep. Raises `Problem` for what is merely too much."""
    try:
        text = json.dumps(
            metadata, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        ).encode()
    except ValueError:
        raise ValueError("numbers must be finite and texts must be Unicode") from None
    if _NUL.search(text):
        raise ValueError("NUL characters are not allowed")
    if len(text) > MOST_METADATA:
        raise Problem(
            "metadata-too-large", f"metadata has {len(text)} bytes; {MOST_METADATA} are allowed"
        )
    return metadata


Plain = Annotated[str, AfterValidator(plain)]
Group = Annotated[
    str,
    Field(max_length=LONGEST_GROUP, description="a collection that the jobs belong to"),
    AfterValidator(plain),
]
StageNames = Annotated[
    list[Annotated[str, Field(max_length=100)]] | Annotated[str, Field(max_length=2000)],
    Field(description="the stages wanted, with all they need; none means all"),
]


class Options(BaseModel):
    """What is wanted of a submission's photos, and what its sender keeps with them."""

    model_config = ConfigDict(frozen=True, strict=True)

    stages: StageNames = Field(default_factory=list)
    group: Group | None = None
    metadata: Annotated[Metadata, AfterValidator(_sized)] = Field(
        default_factory=dict,
        description="anything that you want to find in the job again, at most 16 kB as JSON",
    )
    lane: Lane = Field(default="interactive", description="`bulk` for what may wait")
    force: bool = Field(default=False, description="compute again what is known already")

    @property
    def names(self) -> tuple[str, ...]:
        """The stages as they were named, one by one."""
        return stage_names(self.stages)


def stage_names(given: list[str] | str) -> tuple[str, ...]:
    """Return the names in ``given``: a list of them, comma-separated text, or both."""
    texts = [given] if isinstance(given, str) else given
    return tuple(name.strip() for text in texts for name in text.split(",") if name.strip())
