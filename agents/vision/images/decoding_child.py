"""The program of the decoder child process. `agents.inputs.decoding` starts it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pillow_heif
from PIL import AvifImagePlugin, TiffImagePlugin  # noqa: F401 - Pillow imports TIFF late, for EXIF

from agents.inputs.child import NotGranted, Reserve, serve
from agents.inputs.messages import Message
from agents.stages.errors import Rejected
from agents.vision.images import cost, picture

AvifImagePlugin.DEFAULT_MAX_THREADS = 1
pillow_heif.options.DECODE_THREADS = 1
# One thread: all cores have a child already, and each thread needs memory of its own.
_NO_MEMORY = ("memory", "alloc", "c++ exception", "could not create decoder")


def answer(header: dict[str, Any], blobs: list[bytes], reserve: Reserve) -> Message:
    """Answer one request. Errors are answers too."""
    try:
        if header["ask"] == "nothing":
            return {}, []
        return _decoded(header, blobs[0], reserve)
    except NotGranted:
        raise
    except Rejected as error:
        if _lacked_memory(error):
            return {"out_of_memory": True}, []
        return {"rejected": [error.code, error.message, error.detail]}, []
    except MemoryError:
        return {"out_of_memory": True}, []
    except Exception as error:  # noqa: BLE001 - told to the parent, which raises it
        return {"error": f"{type(error).__name__}: {error}"}, []


def _decoded(header: dict[str, Any], data: bytes, reserve: Reserve) -> Message:
    ask, limit, boxes = header["ask"], header["max_pixels"], header.get("boxes", ())
    need = cost.memory(data, ask, max_pixels=limit, boxes=boxes)
    reserve(need * header.get("factor", 1))
    if ask == "inspect":
        found = picture.inspect(data, max_pixels=limit, long_side=header["long_side"])
        facts = dataclasses.asdict(found)
        return {"facts": facts}, [facts.pop("working")]
    if ask == "measure":
        return {"size": picture.measure(data, max_pixels=limit)}, []
    return {}, picture.crops(data, boxes, max_pixels=limit)


def _lacked_memory(error: Rejected) -> bool:
    """Tell whether a decoder failed because it got no memory; most of them only say so in words."""
    detail = error.detail.lower()
    return isinstance(error.__cause__, MemoryError) or any(word in detail for word in _NO_MEMORY)


def main(descriptor: int, means: str) -> None:
    """Run until the parent closes the socket ``descriptor``."""
    serve(answer, descriptor, means)
