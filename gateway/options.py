"""What may be said of a submission besides its photos, in JSON and in forms alike."""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gateway.metadata import KeptMetadata
from streams.events import Lane

LONGEST_GROUP = 128
PLAIN = r"^[^\u0000-\u001f\u007f-\u009f]*$"


def plain(text: str) -> str:
    """Return ``text``; raise ValueError when it has control characters, or halves of one."""
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise ValueError("control characters are not allowed")
    return text


Plain = Annotated[str, Field(json_schema_extra={"pattern": PLAIN}), AfterValidator(plain)]
Group = Annotated[
    str,
    Field(
        max_length=LONGEST_GROUP,
        description="a collection that the jobs belong to",
        json_schema_extra={"pattern": PLAIN},
    ),
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
    metadata: KeptMetadata = Field(
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
    """Return the names in ``given``: a list of them, or text with commas between."""
    if not isinstance(given, str):
        return tuple(given)
    return tuple(name.strip() for name in given.split(",") if name.strip())
