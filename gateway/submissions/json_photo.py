"""Read the JSON body of `POST /v1/jobs` piece by piece: the photo in `image_base64` goes to a file,
and only the rest stays in memory.

The rest is limited before a parser sees it. A parser needs up to 300 bytes of memory for each byte
of `[[],[],…]`.
"""

from __future__ import annotations

import base64
import binascii
import json
import re

from gateway.http.limits import MemoryShare
from gateway.http.problems import Problem

FIELD = "image_base64"
LARGEST_REST = 10_000_000
"""Bytes of a body besides the photo: 2,000 URLs of at most 4,096 characters, and the options."""
MOST_TOKENS = 50_000
"""Brackets, colons, commas and strings. 2,000 URLs and 16 kB of metadata need at most 22,000."""
LONGEST_NAME = 100

_TOKEN = re.compile(rb'["\[\]{}:,]')
_TEXT = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_HALF_AN_ESCAPE = re.compile(rb"\\(?:u[0-9A-Fa-f]{0,3})?\Z")
_ESCAPE = re.compile(rb"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_SPACE = b" \t\r\n"
_PLAIN = {b"n": b"", b"r": b"", b"t": b"", b"/": b"/"}
_NO_BASE64 = b"!"


class Base64Decoder:
    """Decodes the text of a JSON string: base64, with or without line breaks, or a data URL.

    ``problem`` is set when the text is not valid or has more than ``max_bytes`` bytes; then the
    rest of the text is ignored.
    """

    def __init__(self, max_bytes: int) -> None:
        self.problem: Problem | None = None
        self._max_bytes = max_bytes
        self._size = 0
        self._escape = b""  # the beginning of an escape sequence
        self._prefix: bytes | None = b""  # the beginning of a data URL; None after its comma
        self._group = b""  # up to three characters of a group of four
        self._padded = False

    def decode(self, text: bytes) -> bytes:
        """Return the bytes of the next piece of text."""
        if self.problem:
            return b""
        text = self._without_prefix(self._unescaped(text))
        text = self._group + text.translate(None, _SPACE)
        whole = len(text) // 4 * 4
        self._group, text = text[whole:], text[:whole]
        if not text:
            return b""
        try:
            if self._padded:
                raise binascii.Error
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return self._refuse(_invalid())
        self._padded = text.endswith(b"=")
        self._size += len(data)
        if self._size > self._max_bytes:
            return self._refuse(
                Problem("too-large", f"the photo has more than {self._max_bytes} bytes")
            )
        return data

    def finish(self) -> bytes:
        """Return the last bytes, at the end of the text."""
        text, self._prefix = self._prefix or b"", None
        data = b"" if text.startswith(b"data:") else self.decode(text)
        if self._group or self._escape:
            self.problem = self.problem or _invalid()
        return data

    def _unescaped(self, text: bytes) -> bytes:
        text = (self._escape + text).replace(rb"\/", b"/")
        half = _HALF_AN_ESCAPE.search(text)
        self._escape = half[0] if half else b""
        text = text[: half.start()] if half else text
        return _ESCAPE.sub(_character, text) if b"\\" in text else text

    def _without_prefix(self, text: bytes) -> bytes:
        if self._prefix is None:
            return text
        text = self._prefix + text
        if not text.startswith(b"data:"):
            if b"data:".startswith(text):
                self._prefix = text  # perhaps the beginning of a data URL
                return b""
            self._prefix = None
            return text
        _, comma, rest = text.partition(b",")
        self._prefix = None if comma else b"data:"
        return rest

    def _refuse(self, problem: Problem) -> bytes:
        self.problem = problem
        return b""


class JsonScanner:
    """Separates the text of the top-level field `image_base64` from the rest of a JSON object.

    ``rest`` is the body with an empty text in this field. `feed` returns the photo's next bytes,
    and raises `Problem` if the rest is too large.
    """

    def __init__(self, max_bytes: int, memory: MemoryShare) -> None:
        self.rest = bytearray()
        self.photo: Base64Decoder | None = None
        self.began_again = False
        self._max_bytes = max_bytes
        self._memory = memory
        self._tokens = 0
        self._depth = 0
        self._in_string = False
        self._in_photo = False
        self._escaped = False  # the last byte was a backslash
        self._string = b""  # the beginning of the last string outside the photo
        self._name: str | None = None

    def feed(self, data: bytes) -> bytes:
        """Scan the next bytes of the body."""
        photo = []
        at = 0
        while at < len(data):
            if not self._in_string:
                at = self._outside(data, at)
                continue
            end = self._end_of_text(data, at)
            text = data[at:end]
            if self._in_photo and self.photo:
                photo.append(self.photo.decode(text))
            else:
                self._keep(text)
                self._string += text[: LONGEST_NAME - len(self._string)]
            at = end
            if end < len(data):  # the quotation mark
                photo.append(self._end_string())
                at += 1
        return b"".join(photo)

    def _outside(self, data: bytes, at: int) -> int:
        token = _TOKEN.search(data, at)
        if token is None:
            self._keep(data[at:])
            return len(data)
        self._keep(data[at : token.end()])
        self._tokens += 1
        if self._tokens > MOST_TOKENS:
            raise Problem("too-large", f"the body has more than {MOST_TOKENS} values and brackets")
        self._enter(token[0])
        return token.end()

    def _enter(self, token: bytes) -> None:
        if token == b'"':
            self._in_string, self._string = True, b""
            self._in_photo = self._depth == 1 and self._name == FIELD
            if self._in_photo:
                self.began_again = self.photo is not None
                self.photo = Base64Decoder(self._max_bytes)
        elif token in b"[{":
            self._depth += 1
        elif token in b"]}":
            self._depth -= 1
        elif self._depth == 1:
            self._name = _name(self._string) if token == b":" else None

    def _end_of_text(self, data: bytes, at: int) -> int:
        """Return where the text of the string ends in ``data``: at a quotation mark or the end."""
        text = _TEXT.match(data, at + 1 if self._escaped else at)
        end = text.end() if text else at
        self._escaped = end < len(data) and data[end] == ord("\\")
        return len(data) if self._escaped else end

    def _end_string(self) -> bytes:
        self._in_string = False
        self._keep(b'"')
        if not (self._in_photo and self.photo):
            return b""
        self._in_photo = False
        return self.photo.finish()

    def _keep(self, data: bytes) -> None:
        if len(self.rest) + len(data) > LARGEST_REST:
            raise Problem(
                "too-large", f"the body has more than {LARGEST_REST} bytes besides the photo"
            )
        self._memory.take(len(data))
        self.rest += data


def _name(raw: bytes) -> str | None:
    try:
        return str(json.loads(b'"' + raw + b'"'))
    except ValueError:
        return None


def _character(escape: re.Match[bytes]) -> bytes:
    """Return the character that an escape sequence means. If the sequence is invalid or means no
    ASCII character, return a character that base64 does not contain."""
    code, letter = escape.groups()
    if code is None:
        return _PLAIN.get(letter, _NO_BASE64)
    number = int(code, 16)
    return bytes([number]) if number < 128 else _NO_BASE64


def _invalid() -> Problem:
    return Problem("base64-invalid", "image_base64 must be standard base64")
