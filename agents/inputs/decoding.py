"""Decoding strangers' pictures in a killable place, under limits of time, memory and pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agents.inputs.sandbox import Message, SandboxCrashed, SandboxPool, SandboxTimeout
from agents.stages.errors import Rejected

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in 0–1 of the upright picture."""


@dataclass(frozen=True)
class InspectedImage:
    """What a picture is. ``width`` and ``height`` are of the upright original, in pixels.

    ``format`` is JPEG, PNG, GIF, WEBP, AVIF or HEIF; ``perceptual_hash`` 16 hex digits;
    ``working`` an upright sRGB JPEG without metadata, long side at most 1024 px.
    """

    format: str
    width: int
    height: int
    animated: bool
    perceptual_hash: str
    working: bytes


class Decoder:
    """Decodes in up to ``processes`` child processes, started as they are needed.

    Blocking and thread-safe. A picture that takes longer than ``timeout_s`` seconds or more than
    ``memory_bytes`` of address space costs a child its life and nothing else.

    Raises `Rejected`: ``empty-file``, ``not-an-image``, ``unsupported-format``,
    ``truncated-image``, ``too-many-pixels``, ``decode-timeout``, ``decode-failed``.
    """

    def __init__(
        self,
        *,
        processes: int = 2,
        timeout_s: float = 20.0,
        max_pixels: int = 100_000_000,
        memory_bytes: int = 2 << 30,
        long_side: int = 1024,
    ) -> None:
        self._children = SandboxPool(
            "agents.vision.images.decoding_child", count=processes, memory_bytes=memory_bytes
        )
        self._timeout_s = timeout_s
        self._max_pixels = max_pixels
        self._long_side = long_side

    def inspect(self, data: bytes) -> InspectedImage:
        """Decode ``data`` once: what it is, and its working copy."""
        header, blobs = self._ask({"ask": "inspect", "long_side": self._long_side}, data)
        return InspectedImage(**header["facts"], working=blobs[0])

    def measure(self, data: bytes) -> tuple[int, int]:
        """Return the width and height of the upright picture, in pixels, off its header."""
        width, height = self._ask({"ask": "measure"}, data)[0]["size"]
        return width, height

    def crops(self, data: bytes, boxes: Sequence[Box]) -> list[bytes]:
        """Cut ``boxes`` from the picture at full resolution: upright sRGB JPEGs, in order."""
        if not boxes:
            return []
        return self._ask({"ask": "crops", "boxes": [list(box) for box in boxes]}, data)[1]

    def warm_up(self) -> None:
        """Start one child and wait until it answers."""
        self._children.call({"ask": "nothing"}, [], self._timeout_s)

    def close(self) -> None:
        """End idle children; a later call starts new ones."""
        self._children.close()

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of the idle children."""
        return self._children.pids

    def _ask(self, header: dict[str, Any], data: bytes) -> Message:
        header["max_pixels"] = self._max_pixels
        try:
            reply = self._call(header, data)
        except SandboxTimeout as error:
            raise Rejected(
                "decode-timeout", f"The image takes more than {self._timeout_s:g} s to decode."
            ) from error
        except SandboxCrashed as error:
            raise Rejected(
                "decode-failed", "The image cannot be decoded.", "The decoder crashed on it."
            ) from error
        if rejected := reply[0].get("rejected"):
            raise Rejected(*rejected)
        if problem := reply[0].get("error"):
            raise RuntimeError(f"decoding child: {problem}")
        return reply

    def _call(self, header: dict[str, Any], data: bytes) -> Message:
        try:
            return self._children.call(header, [data], self._timeout_s)
        except (
            SandboxCrashed
        ):  # once may be chance (the child was killed from outside), twice is not
            return self._children.call(header, [data], self._timeout_s)
