"""File names that clients gave to their photos. Every name is untrusted text."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

from pydantic import BeforeValidator, Field

LONGEST = 150
"""Largest number of characters of a cleaned name."""
LONGEST_BYTES = 200
"""Largest number of bytes of a cleaned name. File systems allow 255 bytes, so there is room for an
addition such as ``-untouched``."""
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}$")


def clean_filename(text: str) -> str | None:
    """Return the last part of a path as a safe file name; None if nothing remains.

    Control and format characters, which can hide the true suffix, are removed. Characters that
    Windows forbids become "-". A long name is shortened before its suffix.
    """
    name = unicodedata.normalize("NFC", re.split(r"[/\\]", text[-4096:])[-1])
    name = "".join(each for each in name if unicodedata.category(each)[0] != "C")
    name = re.sub(r'[<>:"|?*]', "-", " ".join(name.split())).lstrip(". ").rstrip(". ")
    if not name:
        return None
    found = _SUFFIX.search(name)
    suffix = found[0] if found else ""
    stem = name[: len(name) - len(suffix)][: LONGEST - len(suffix)]
    while len(f"{stem}{suffix}".encode()) > LONGEST_BYTES:
        stem = stem[:-1]
    return f"{stem.rstrip()}{suffix}"


def url_filename(url: str) -> str | None:
    """Return the file name at the end of a URL's path, or None."""
    return clean_filename(unquote(urlsplit(url).path, errors="replace"))


def stem_of(filename: str) -> str:
    """Return a file name without its suffix; a name that is only a suffix stays."""
    return _SUFFIX.sub("", filename) or filename


def _cleaned(value: Any) -> Any:
    return clean_filename(value) if isinstance(value, str) else value


Filename = Annotated[
    Annotated[str, Field(max_length=LONGEST)] | None,
    BeforeValidator(_cleaned, json_schema_input_type=Any),
]
"""An optional file name. `clean_filename` is applied when an event is validated."""
