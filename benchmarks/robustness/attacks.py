"""Hostile requests, records and photos. Each attack is a function that returns the system's answer.

Every attack goes through the public interfaces only: HTTP, and Kafka records that any producer may
write. `benchmarks.robustness.hostile` runs them and measures their cost.
"""

from __future__ import annotations

import base64
import http.client
import io
import json
import socket
import struct
import threading
import time
import uuid
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
from confluent_kafka import Producer
from PIL import Image

ANSWER_S = 100.0
"""Longest time in seconds that an attack waits for an answer."""
MEGABYTE = b"y" * 1_000_000


@dataclass(frozen=True)
class Target:
    """The system under attack. ``hanging`` is the address of a server that never answers."""

    url: str
    kafka: str
    hanging: str

    @property
    def host(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 80

    def connect(self) -> socket.socket:
        """Open a connection. Its operations time out after `ANSWER_S`."""
        return socket.create_connection(self.host, timeout=ANSWER_S)

    def client(self) -> httpx.Client:
        """Return an HTTP client for the system."""
        return httpx.Client(base_url=self.url, timeout=ANSWER_S)

    def upload(self, photo: bytes) -> str:
        """Upload a photo and return the job id. Raises `RuntimeError` if it is refused."""
        with self.client() as client:
            answer = client.post("/v1/jobs", files={"files": ("photo", photo)})
        if answer.status_code != 202:
            raise RuntimeError(_code(answer))
        return str(answer.json()["jobs"][0]["job_id"])

    def final(self, job_id: str, limit_s: float = ANSWER_S) -> str:
        """Return the job's final status, with its error code; "pending" after ``limit_s``."""
        until = time.monotonic() + limit_s
        job: dict[str, object] = {}
        with self.client() as client:
            while time.monotonic() < until:
                answer = client.get(f"/v1/jobs/{job_id}", params={"wait": 10})
                job = answer.json() if answer.status_code == 200 else {"status": "unknown"}
                if job["status"] == "failed":
                    error = job["error"]
                    return str(error["code"]) if isinstance(error, dict) else "failed"
                if job["status"] == "completed":
                    return "completed"
                time.sleep(0.1)
        return str(job.get("status", "pending"))

    def produce(self, topic: str, data: object, headers: Mapping[str, bytes] | None = None) -> None:
        """Write one CloudEvent, as any producer can."""
        attributes = {
            "ce_specversion": "1.0",
            "ce_id": str(uuid.uuid4()),
            "ce_source": "/attack",
            "ce_type": f"lookstream.{topic}.v1",
            "ce_time": "2026-01-01T00:00:00Z",
            "content-type": "application/json",
        }
        every = [*((name, text.encode()) for name, text in attributes.items())]
        for name, value in (headers or {}).items():
            every = [pair for pair in every if pair[0] != name] + [(name, value)]
        failures: list[str] = []
        producer = Producer({"bootstrap.servers": self.kafka, "message.max.bytes": 100_000_000})
        producer.produce(
            topic,
            json.dumps(data).encode(),
            headers=every,
            on_delivery=lambda error, _: failures.append(str(error)) if error else None,
        )
        producer.flush(20)
        if failures:
            raise RuntimeError(failures[0])


Attack = Callable[[Target], str]
ATTACKS: dict[str, Attack] = {}


def attack(name: str) -> Callable[[Attack], Attack]:
    """Register an attack under the name that the table shows."""

    def register(function: Attack) -> Attack:
        ATTACKS[name] = function
        return function

    return register


def _code(answer: httpx.Response) -> str:
    try:
        code = str(answer.json().get("code", ""))
    except ValueError:
        code = ""
    return f"{answer.status_code} {code}".rstrip()


def _status_line(connection: socket.socket) -> str:
    """Return the status of the answer on a raw connection, or "closed"."""
    try:
        line = connection.recv(200).split(b"\r\n")[0].decode(errors="replace")
    except TimeoutError:
        return f"no answer in {ANSWER_S:.0f} s"
    except OSError:
        return "closed"
    return line.removeprefix("HTTP/1.1 ") or "closed"


# -- HTTP --------------------------------------------------------------------------------------


@attack("200 MB of request headers")
def many_headers(target: Target) -> str:
    block = (b"X-A: " + b"y" * 60_000 + b"\r\n") * 16
    return _flood(target, b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n", block, 200)


@attack("one request header of 200 MB")
def long_header(target: Target) -> str:
    return _flood(target, b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ", MEGABYTE, 200)


def _flood(target: Target, start: bytes, block: bytes, count: int) -> str:
    with target.connect() as connection:
        sent = 0
        try:
            connection.sendall(start)
            for _ in range(count):
                connection.sendall(block)
                sent += len(block)
            connection.sendall(b"\r\n\r\n")
        except OSError:
            return f"closed after {sent / 1e6:.0f} MB"
        return f"{_status_line(connection)} after {sent / 1e6:.0f} MB"


@attack("head that never ends")
def unfinished_head(target: Target) -> str:
    return _unfinished(target, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ")


@attack("JSON body that never ends")
def unfinished_json(target: Target) -> str:
    head = b"POST /v1/replays HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return _unfinished(target, head + b'Content-Length: 900000\r\n\r\n{"x":"')


@attack("file upload that never ends")
def unfinished_file(target: Target) -> str:
    return _unfinished(
        target,
        b"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Content-Type: multipart/form-data; boundary=B\r\nContent-Length: 9000000\r\n\r\n"
        b'--B\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\naaaa',
    )


def _unfinished(target: Target, start: bytes) -> str:
    with target.connect() as connection:
        began = time.monotonic()
        connection.sendall(start)
        answer = _status_line(connection)
        waited = time.monotonic() - began
    return answer if answer.startswith("no answer") else f"{answer} after {waited:.0f} s"


@attack("1,500 idle connections")
def idle_connections(target: Target) -> str:
    open_ones: list[socket.socket] = []
    try:
        for _ in range(1500):
            try:
                open_ones.append(socket.create_connection(target.host, timeout=5))
            except OSError:
                break
        began = time.monotonic()
        try:
            with httpx.Client(base_url=target.url, timeout=30) as client:
                answer = _code(client.get("/v1/info"))
        except httpx.HTTPError as error:
            answer = type(error).__name__
        took = time.monotonic() - began
        return f"{len(open_ones)} opened, then {answer} in {took:.1f} s"
    finally:
        for each in open_ones:
            each.close()


@attack("1.5 million numbers as URLs (3 MB)")
def number_urls(target: Target) -> str:
    return _post_json(target, b'{"urls":[' + b",".join([b"1"] * 1_500_000) + b"]}")


@attack("3 million stage names")
def many_stages(target: Target) -> str:
    names = b",".join(b'"%x"' % number for number in range(3_000_000))
    return _post_json(target, b'{"url":"http://a.example/","stages":[' + names + b"]}")


@attack("JSON nested 500,000 levels deep")
def deep_json(target: Target) -> str:
    deep = b"[" * 500_000 + b"]" * 500_000
    return _post_json(target, b'{"url":"http://a.example/","metadata":' + deep + b"}")


def _post_json(target: Target, body: bytes) -> str:
    with target.client() as client:
        try:
            return _code(
                client.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
            )
        except httpx.HTTPError as error:
            return type(error).__name__


@attack("eight base64 uploads of 45 MB at once")
def base64_uploads(target: Target) -> str:
    body = b'{"image_base64":"' + base64.b64encode(bytes(range(256)) * 176_000) + b'"}'
    return _at_once(target, [body] * 8)


def _at_once(target: Target, bodies: Sequence[bytes]) -> str:
    with ThreadPoolExecutor(len(bodies)) as pool:
        return _counted(list(pool.map(lambda body: _post_json(target, body), bodies)))


@attack("eight base64 photos of 45 MB at once")
def base64_photos(target: Target) -> str:
    comment = b"\xff\xfe\xff\xff" + b"c" * 65_533
    bodies = []
    for number in range(8):
        image = Image.new("RGB", (300, 400), (number * 30, 40, 90))
        small = _encoded(image, "JPEG")
        large = small[:2] + comment * 687 + small[2:]
        bodies.append(b'{"image_base64":"' + base64.b64encode(large) + b'"}')
    return _at_once(target, bodies)


@attack("unknown query parameters")
def unknown_parameters(target: Target) -> str:
    with target.client() as client:
        return _counted(
            _code(client.get("/v1/jobs", params={name: "x"})) for name in ("statuss", "color")
        )


@attack("writes from other sites (Origin only)")
def other_origins(target: Target) -> str:
    origins = ("http://evil.example", "null", "http://127.0.0.1:9999")
    with target.client() as client:
        return _counted(
            _code(client.post("/v1/uploads", headers={"Origin": origin})) for origin in origins
        )


@attack("idempotency key of another client")
def foreign_key(target: Target) -> str:
    key, ids = str(uuid.uuid4()), []
    for source in ("127.0.0.1", "127.0.0.3"):
        connection = http.client.HTTPConnection(*target.host, 30, source_address=(source, 0))
        body = json.dumps({"url": f"http://{target.hanging}/key"})
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        connection.request("POST", "/v1/jobs", body, headers)
        answer = json.loads(connection.getresponse().read())
        ids.append(answer.get("jobs", [{}])[0].get("job_id"))
        connection.close()
    return "the same job" if ids[0] == ids[1] else "a job of its own"


# -- Kafka -------------------------------------------------------------------------------------


@attack("record with a group of 900 kB")
def huge_group(target: Target) -> str:
    return _records(target, {"image-submitted": [_submission(target, group="g" * 900_000)]})


@attack("record with 900 kB of headers")
def huge_headers(target: Target) -> str:
    target.produce("image-submitted", _submission(target), {"x": b"h" * 900_000})
    return _still_works(target)


@attack("failures with messages and stage names of 700 kB")
def huge_failures(target: Target) -> str:
    failed: list[object] = [
        {**_failure(), "message": "m" * 700_000},
        *({**_failure(), "stage": f"{number}" + "x" * 700_000} for number in range(4)),
    ]
    return _records(target, {"stage-failed": failed})


@attack("records that are no events")
def no_events(target: Target) -> str:
    values: list[object] = [None, [], "text", 5, {"job_id": 5}, {"job_id": "x" * 100}]
    return _records(target, dict.fromkeys(("image-submitted", "image-validated"), values))


@attack("event dated 9999")
def future_event(target: Target) -> str:
    event = _submission(target)
    target.produce("image-submitted", event, {"ce_time": b"9999-12-31T23:59:59Z"})
    time.sleep(2)
    with target.client() as client:
        first = client.get("/v1/jobs", params={"limit": 1}).json()["jobs"][0]
    ahead = first["job_id"] == event["job_id"] and first["submitted_at"].startswith("9999")
    return "sorts first for ever" if ahead else _still_works(target)


@attack("result that names another client's upload")
def forged_original(target: Target) -> str:
    with target.client() as client:
        upload = client.post("/v1/uploads").json()
        client.put(upload["url"], content=b"private", headers={"Content-Type": "image/jpeg"})
        event = _validated(original=upload["object"])
        target.produce("image-validated", event)
        time.sleep(2)
        job = client.get(f"/v1/jobs/{event['job_id']}")
        link = (job.json().get("original") or {}).get("url") if job.status_code == 200 else None
        if not link:
            return "no link"
        answer = client.get(link)
    return "the other client's bytes" if answer.content == b"private" else _code(answer)


@attack("result that replaces another job's thumbnail")
def forged_working(target: Target) -> str:
    victim = target.upload(photo(701))
    target.final(victim)
    with target.client() as client:
        before = client.get(f"/v1/jobs/{victim}").json()
        thumbnail = client.get(before["thumbnails"][0]["url"]).content
        sha256 = before["original"]["sha256"]
        _forged_thumbnail(target, _encoded(Image.new("RGB", (300, 400), "red"), "JPEG"), sha256)
        after = client.get(before["thumbnails"][0]["url"]).content
    return "replaced" if after != thumbnail else "unchanged"


@attack("results that name two uploads of 169 MP as working copies")
def forged_bombs(target: Target) -> str:
    data = _encoded(Image.new("RGB", (13000, 13000), (10, 200, 30)), "JPEG")
    return ", ".join(
        _forged_thumbnail(target, data + bytes([number]), f"{number + 1:064x}")
        for number in range(2)
    )


def _forged_thumbnail(target: Target, data: bytes, sha256: str) -> str:
    """Upload ``data``, and request a thumbnail of it; return the status of that stage."""
    with target.client() as client:
        upload = client.post("/v1/uploads").json()
        client.put(upload["url"], content=data, headers={"Content-Type": "image/jpeg"})
        stages = ["validation", "thumbnailing"]
        event = _validated(sha256=sha256, working=upload["object"], stages=stages, force=True)
        target.produce("image-validated", event)
        until = time.monotonic() + 40
        while time.monotonic() < until:
            job = client.get(f"/v1/jobs/{event['job_id']}").json()
            status = job.get("stages", {}).get("thumbnailing", {}).get("status", "pending")
            if status != "pending":
                return str(status)
            time.sleep(0.2)
    return "pending"


@attack("submission that takes over another client's job")
def forged_submission(target: Target) -> str:
    victim = target.upload(photo(703))
    target.final(victim)
    with target.client() as client:
        before = client.get(f"/v1/jobs/{victim}").json()
        upload = client.post("/v1/uploads").json()
        client.put(upload["url"], content=photo(704), headers={"Content-Type": "image/jpeg"})
        target.produce(
            "image-submitted",
            {
                "job_id": victim,
                "run": 2,
                "source": {"object": upload["object"]},
                "group": "mine",
                "stages": ["validation"],
            },
        )
        time.sleep(1)
        target.final(victim)
        after = client.get(f"/v1/jobs/{victim}").json()
    facts = {"source", "group", "original"}
    changed = sorted(name for name in facts if _plain(before[name]) != _plain(after[name]))
    return f"changed: {', '.join(changed)}" if changed else "unchanged"


def _plain(value: object) -> object:
    """Return a value without links, which change with time."""
    if isinstance(value, dict):
        return {name: each for name, each in value.items() if name != "url"}
    return value


def _submission(target: Target, **fields: object) -> dict[str, object]:
    source = {"url": f"http://{target.hanging}/record"}
    return {"job_id": str(uuid.uuid4()), "source": source, "stages": ["validation"], **fields}


def _failure() -> dict[str, object]:
    return {
        "job_id": str(uuid.uuid4()),
        "stage": "validation",
        "kind": "error",
        "code": "c",
        "message": "m",
    }


def _validated(**fields: object) -> dict[str, object]:
    return {
        "job_id": str(uuid.uuid4()),
        "sha256": "0" * 64,
        "perceptual_hash": "0" * 16,
        "original": "x",
        "working": "x",
        "width": 1,
        "height": 1,
        "format": "JPEG",
        "bytes": 1,
        "stages": ["validation"],
        **fields,
    }


def _records(target: Target, records: Mapping[str, list[object]]) -> str:
    for topic, values in records.items():
        for value in values:
            try:
                target.produce(topic, value)
            except RuntimeError as error:
                return f"refused by the broker: {error}"[:60]
    return _still_works(target)


def _still_works(target: Target) -> str:
    """Return how a new photo fares after the attack."""
    time.sleep(1)
    began = time.monotonic()
    status = target.final(target.upload(photo(uuid.uuid4().int % 1000)))
    return f"next photo {status} in {time.monotonic() - began:.1f} s"


# -- photos ------------------------------------------------------------------------------------


@attack("four WebP files of 16,383 × 6,000 pixels")
def wide_webps(target: Target) -> str:
    data = _encoded(Image.new("RGB", (16383, 6000)), "WEBP", lossless=True)
    return _photos(target, [data[:-1] + bytes([number]) for number in range(4)])


@attack("eight JPEG files with 20,000 scans")
def many_scans(target: Target) -> str:
    plain = _encoded(Image.new("L", (3000, 3000), 90), "JPEG", progressive=True)
    begin = plain.index(b"\xff\xda", plain.index(b"\xff\xda") + 2)
    end = plain.find(b"\xff\xda", begin + 2)
    end = end if end > 0 else plain.rindex(b"\xff\xd9")
    bomb = plain[:end] + plain[begin:end] * 20_000 + b"\xff\xd9"
    comments = [b"\xff\xfe\x00\x03%c" % number for number in range(8)]
    return _photos(target, [bomb[:2] + comment + bomb[2:] for comment in comments])


@attack("JPEG of 10,000 × 10,000 pixels")
def large_jpeg(target: Target) -> str:
    image = Image.new("RGB", (10_000, 10_000), (10, 200, 30))
    return _photos(target, [_encoded(image, "JPEG", progressive=True, subsampling=0)])


@attack("PNG whose data unpack to 3 GB")
def png_bomb(target: Target) -> str:
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(b"\0" * 1_000_000) for _ in range(3000)) + packer.flush()
    return _photos(target, [_png(100, 100, packed)])


@attack("PNG that claims 2³¹−1 × 1 pixels")
def png_claim(target: Target) -> str:
    return _photos(target, [_png(2**31 - 1, 1, zlib.compress(b"\0" * 1000))])


@attack("GIF of 100,000 frames")
def gif_frames(target: Target) -> str:
    frames = [Image.new("RGB", (100, 100), colour).convert("P") for colour in ("red", "blue")]
    plain = _encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100)
    begin = plain.rindex(b"!\xf9")
    return _photos(target, [plain[:begin] + plain[begin:-1] * 100_000 + b";"])


@attack("JPEG with 16 MB of EXIF and profiles")
def huge_metadata(target: Target) -> str:
    return _photos(target, [_encoded(Image.new("RGB", (100, 100)), "JPEG",
                                     icc_profile=b"\0" * 16_000_000)])  # fmt: skip


def _png(width: int, height: int, packed: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", packed), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _photos(target: Target, photos: list[bytes]) -> str:
    try:
        jobs = [target.upload(each) for each in photos]
    except RuntimeError as error:
        return str(error)
    return _counted(target.final(job) for job in jobs)


def photo(number: int) -> bytes:
    """Return a small photo; each number gives other bytes."""
    image = Image.new("RGB", (300, 400), "white")
    image.paste((number % 200, 30, 90), (60, 60, 240, 340))
    image.putpixel((number % 300, 0), (number // 300 % 256, 0, 0))
    return _encoded(image, "PNG")


def _counted(answers: Iterator[str] | list[str]) -> str:
    counts = Counter(answers)
    if len(counts) == 1 and sum(counts.values()) == 1:
        return next(iter(counts))
    return ", ".join(f"{count}× {answer}" for answer, count in counts.most_common())


# -- sources -----------------------------------------------------------------------------------


@attack("64 URLs of a server that never answers")
def hanging_urls(target: Target) -> str:
    urls = [f"http://{target.hanging}/{number}" for number in range(64)]
    with target.client() as client:
        answer = client.post("/v1/jobs", json={"urls": urls})
    if answer.status_code != 202:
        return _code(answer)
    return _still_works(target)


@contextmanager
def hanging_server() -> Iterator[str]:
    """Run a server on 127.0.0.2 that accepts connections and never answers; yield host:port."""
    server = socket.create_server(("127.0.0.2", 0), backlog=500)
    connections: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                connections.append(server.accept()[0])
            except OSError:
                return

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield "{}:{}".format(*server.getsockname())
    finally:
        server.close()
        for each in connections:
            each.close()
