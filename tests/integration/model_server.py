"""A fake model server on a loopback port, with the answers and faults of real ones.

The request's path selects the protocol: OpenAI's chat completions or Gemini's generateContent.
"""

from __future__ import annotations

import base64
import gzip
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ANSWER: dict[str, Any] = {
    "caption": "Women's Red Wrap Dress",
    "description": "A red wrap dress. It has short sleeves.",
    "attributes": [
        {"name": "type", "value": "Dress", "confidence": 0.97},
        {"name": "colour", "value": "red", "confidence": 0.9},
    ],
    "needs_review": False,
}


GEMINIS = {"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}


@dataclass(frozen=True)
class Asked:
    """One received request."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def picture(self) -> bytes:
        """The photo in the request."""
        if "contents" in self.body:
            data: str = self.body["contents"][0]["parts"][0]["inlineData"]["data"]
            return base64.urlsafe_b64decode(data)
        url: str = self.body["messages"][0]["content"][1]["image_url"]["url"]
        return base64.b64decode(url.removeprefix("data:image/jpeg;base64,"))


class ModelServer(ThreadingHTTPServer):
    """Answers by the next of ``turns``, or by ``behaviour`` if there is none."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.asked: list[Asked] = []
        self.turns: list[Behaviour] = []
        self.behaviour: Behaviour = says(json.dumps(ANSWER))
        self.closing = threading.Event()
        self.lock = threading.Lock()
        self.connections: list[socket.socket] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def next_turn(self) -> Behaviour:
        with self.lock:
            return self.turns.pop(0) if self.turns else self.behaviour

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.connections.append(connection)
        return connection, address

    def hang_up(self) -> None:
        """Close the clients' connections; otherwise their threads would continue to answer."""
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing if a client hangs up."""


class Handler(BaseHTTPRequestHandler):
    server: ModelServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append(Asked(self.path, headers, body))
        self.server.next_turn()(self)

    @property
    def gemini(self) -> bool:
        return ":generateContent" in self.path

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


Behaviour = Callable[[Handler], None]


def says(words: str, finish: str = "stop") -> Behaviour:
    """Answer with a model's text, in the form of the protocol."""

    def behave(to: Handler) -> None:
        if to.gemini:
            content = {"role": "model", "parts": [{"text": words}]}
            told: Any = {"candidates": [{"content": content, "finishReason": GEMINIS[finish]}]}
        else:
            message = {"role": "assistant", "content": words}
            told = {"choices": [{"index": 0, "message": message, "finish_reason": finish}]}
        to.answer(200, json.dumps(told).encode(), Content_Type="application/json")

    return behave


def refuses(to: Handler) -> None:
    """Refuse the photo as a model does."""
    if to.gemini:
        told: Any = {"candidates": [{"finishReason": "SAFETY"}]}
    else:
        message = {"role": "assistant", "content": None, "refusal": "I'd rather not."}
        told = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    to.answer(200, json.dumps(told).encode())


def blocks(to: Handler) -> None:
    """Refuse the photo as a server does, before the model gets it."""
    if to.gemini:
        to.answer(200, b'{"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}')
    else:
        to.answer(400, b'{"error": {"code": "content_policy_violation", "message": "No."}}')


def status(code: int, body: bytes = b"{}", **headers: str) -> Behaviour:
    """Answer with a status."""
    return lambda to: to.answer(code, body, **headers)


def raw(body: bytes, **headers: str) -> Behaviour:
    """Answer 200 with these bytes."""
    return status(200, body, **headers)


def packed(to: Handler) -> None:
    """Answer with a small body that decompresses to 50 MB."""
    to.answer(200, gzip.compress(bytes(50_000_000), 1), Content_Encoding="gzip")


def hangs(to: Handler) -> None:
    """Never answer."""
    to.server.closing.wait(30)
    to.close_connection = True


def resets(to: Handler) -> None:
    """Reset the connection."""
    to.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    to.connection.close()
    to.close_connection = True


def garbage(to: Handler) -> None:
    """Speak another protocol."""
    to.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n")
    to.close_connection = True


def cut(to: Handler) -> None:
    """Close the connection in the middle of the body."""
    to.answer(200, b'{"choices": [', Content_Length="5000")
    to.close_connection = True


def pours(to: Handler) -> None:
    """Send a body without end."""
    to.send_response(200)
    to.end_headers()
    while not to.server.closing.is_set():
        to.wfile.write(b" " * 65_536)


def drips(to: Handler) -> None:
    """Send a body without end, one byte every 20 ms."""
    to.send_response(200)
    to.end_headers()
    while not to.server.closing.wait(0.02):
        to.wfile.write(b" ")


def drips_headers(to: Handler) -> None:
    """Send headers without end, one every 20 ms."""
    to.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not to.server.closing.wait(0.02):
        to.wfile.write(b"X-More: and more\r\n")


def busy_for(seconds: int) -> Behaviour:
    """Answer 429 with Retry-After until ``seconds`` after the first request, then a caption."""
    began: list[float] = []

    def behave(to: Handler) -> None:
        began.append(time.monotonic())
        if began[-1] - began[0] >= seconds:
            says(json.dumps(ANSWER))(to)
        else:
            to.answer(429, b"{}", Retry_After=str(seconds))

    return behave


@contextmanager
def serving(port: int = 0) -> Iterator[ModelServer]:
    """Serve until the block ends."""
    server = ModelServer(port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
        server.hang_up()
