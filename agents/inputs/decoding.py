"""Decodes untrusted photos in child processes with limits on time, memory and pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from agents.inputs.confinement import Confinement, supported
from agents.inputs.memory import MemoryBudget, default_budget
from agents.inputs.messages import Message
from agents.inputs.sandbox import SandboxCrashed, SandboxFull, SandboxPool, SandboxTimeout
from agents.stages.errors import Rejected, TakesLong, Unavailable

_ONCE_MORE = 3
"""If a child runs out of memory, the second try gets this many times the memory of the first."""
PHOTOS_IN_MEMORY, ROOM_WAIT_S = 100 << 20, 15.0
"""Limit of the bytes of photos in a worker's memory, and the longest wait for free bytes (seconds).
One photo of 50 MB and its copy without metadata use the whole limit. Usual photos are so small that
the number of threads limits them first."""
QUICK_S = 1.0
"""Seconds of computing after which the decoding of a photo is postponed. The second consumer of the
stage then decodes the photo, one photo at a time, so that it does not delay the other photos."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom as fractions (0–1) of the upright photo."""


@dataclass(frozen=True)
class InspectedImage:
    """A decoded photo. ``width`` and ``height`` are pixels of the upright original.

    ``format`` is JPEG, PNG, GIF, WEBP, AVIF or HEIF. ``perceptual_hash`` has 16 hex digits.
    ``working`` is an upright sRGB JPEG without metadata, long side at most 1024 px. ``copy`` is the
    photo in full size without metadata, in ``copy_format``; both are empty if there is none.
    """

    format: str
    width: int
    height: int
    animated: bool
    perceptual_hash: str
    working: bytes
    copy: bytes
    copy_format: str


class Decoder:
    """Decodes in up to ``processes`` child processes, which start on demand.

    Blocking and thread-safe. A photo that needs more than ``timeout_s`` seconds, or ``cpu_s``
    seconds of computing, ends only its child process. All children share ``memory_bytes``; None
    derives the budget from this process's memory limit. A photo waits until the memory that it
    needs is free. ``confinement`` is what the kernel supports; None asks the kernel.

    Raises `Rejected`: ``empty-file``, ``not-an-image``, ``unsupported-format``,
    ``truncated-image``, ``too-many-pixels``, ``too-many-scans``, ``too-much-memory``,
    ``too-small``, ``decode-timeout``, ``decode-failed``.
    """

    def __init__(
        self,
        *,
        processes: int = 2,
        timeout_s: float = 20.0,
        cpu_s: float = 10.0,
        max_pixels: int = 100_000_000,
        memory_bytes: int | None = None,
        long_side: int = 1024,
        room_wait_s: float = ROOM_WAIT_S,
        confinement: Confinement | None = None,
    ) -> None:
        self.budget = MemoryBudget(memory_bytes or default_budget())
        self.confinement = confinement or supported()
        self._photos = MemoryBudget(PHOTOS_IN_MEMORY)
        self._slow_photos = MemoryBudget(PHOTOS_IN_MEMORY)
        self._room_wait_s = room_wait_s
        self._children = SandboxPool(
            "agents.vision.images.decoding_child",
            count=processes,
            budget=self.budget,
            means=self.confinement,
        )
        self._timeout_s = timeout_s
        self._cpu_s = min(cpu_s, timeout_s)
        self._max_pixels = max_pixels
        self._long_side = long_side

    @contextmanager
    def room(self, size: int, *, quick_s: float | None = None) -> Iterator[None]:
        """Reserve memory of this worker for a photo of ``size`` bytes and its copy.

        Callers read a photo inside the context. Photos that take long (no ``quick_s``) have
        memory of their own, so the others do not wait for them. Raises `Unavailable` when other
        photos have kept the memory for too long.
        """
        need = min(2 * size, PHOTOS_IN_MEMORY)
        photos = self._slow_photos if quick_s is None else self._photos
        with ExitStack() as reserved:
            try:
                reserved.enter_context(photos.reserve(need, self._room_wait_s))
            except TimeoutError:
                raise Unavailable(
                    "memory", "other large photos are being decoded", retry_after_s=1.0
                ) from None
            yield

    def inspect(self, data: bytes, *, quick_s: float | None = None) -> InspectedImage:
        """Decode a photo; return its properties and its working copy.

        Raises `TakesLong` if that needs more than ``quick_s`` seconds of computing.
        """
        wanted = {"ask": "inspect", "long_side": self._long_side}
        header, (working, copy) = self._ask(wanted, data, quick_s)
        facts = header["facts"]
        if not copy:  # encoding a JPEG needs more memory, so it is a separate request
            with suppress(Rejected):
                (copy,) = self.crops(data, [(0.0, 0.0, 1.0, 1.0)], quick_s=quick_s)
                facts["copy_format"] = "JPEG"
        return InspectedImage(**facts, working=working, copy=copy)

    def measure(self, data: bytes) -> tuple[int, int]:
        """Return width and height of the upright photo in pixels, read from its header."""
        width, height = self._ask({"ask": "measure"}, data)[0]["size"]
        return width, height

    def crops(
        self, data: bytes, boxes: Sequence[Box], *, quick_s: float | None = None
    ) -> list[bytes]:
        """Cut ``boxes`` from the photo at full resolution; return upright sRGB JPEGs in order.

        Raises `TakesLong` if that needs more than ``quick_s`` seconds of computing.
        """
        if not boxes:
            return []
        wanted = {"ask": "crops", "boxes": [list(box) for box in boxes]}
        return self._ask(wanted, data, quick_s)[1]

    def warm_up(self) -> None:
        """Start one child process and wait until it answers."""
        self._children.call({"ask": "nothing"}, [], self._timeout_s, self._cpu_s)

    def close(self) -> None:
        """End the idle child processes; a later call starts new ones."""
        self._children.close()

    def _ask(self, header: dict[str, Any], data: bytes, quick_s: float | None = None) -> Message:
        header["max_pixels"] = self._max_pixels
        cpu_s = self._cpu_s if quick_s is None else min(quick_s, self._cpu_s)
        try:
            reply = self._call(header, data, cpu_s)
            if reply[0].get(
                "out_of_memory"
            ):  # the estimate was too low, or the photo's header false
                reply = self._call({**header, "factor": _ONCE_MORE}, data, cpu_s)
        except SandboxTimeout as error:
            if cpu_s < self._cpu_s:
                raise TakesLong(f"more than {cpu_s:g} s of computing") from error
            raise Rejected(
                "decode-timeout",
                f"The image needs more than {self._timeout_s:g} s to decode, "
                f"or {self._cpu_s:g} s of computing.",
            ) from error
        except SandboxFull as error:
            raise self._too_much_memory(error.need) from error
        except SandboxCrashed as error:
            raise Rejected(
                "decode-failed", "The image cannot be decoded.", "The decoder process crashed."
            ) from error
        if rejected := reply[0].get("rejected"):
            raise Rejected(*rejected)
        if reply[0].get("out_of_memory"):
            raise Rejected(
                "too-much-memory", "Decoding the image needs more memory than its header announces."
            )
        if problem := reply[0].get("error"):
            raise RuntimeError(f"decoder: {problem}")
        return reply

    def _too_much_memory(self, need: int) -> Rejected:
        return Rejected(
            "too-much-memory",
            f"The image needs more memory to decode than the {self.budget.total >> 20:,} MiB "
            "that are available.",
            f"It needs at least {need >> 20:,} MiB.",
        )

    def _call(self, header: dict[str, Any], data: bytes, cpu_s: float) -> Message:
        try:
            return self._children.call(header, [data], self._timeout_s, cpu_s)
        except SandboxCrashed:
            # Another process may have killed the child, so one crash does not prove anything.
            return self._children.call(header, [data], self._timeout_s, cpu_s)
