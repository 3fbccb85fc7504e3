"""The client without a gateway: public names, options, parsing, artifact names and delays."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import lookstream_client
import pytest
import typer
from lookstream_client.cli import moment
from lookstream_client.http import RetryPolicy, retry_after_s
from lookstream_client.models import job
from lookstream_client.options import (
    ReplayOptions,
    expand,
    form_fields,
    key_of,
    listed,
    query,
    replay_body,
    select,
)
from lookstream_client.reading import ServerEvent, SseReader, artifacts

import lookstream
from lookstream import PhotoNotFound

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
DOCS = Path(__file__).parents[2] / "docs"

SHAPES = {
    "AcceptedEntry": lookstream_client.Accepted,
    "Attribute": lookstream_client.Attribute,
    "Box": lookstream_client.Box,
    "Counts": lookstream_client.Counts,
    "Failure": lookstream_client.Failure,
    "Info": lookstream_client.Info,
    "Item": lookstream_client.Item,
    "JobListView": lookstream_client.Page,
    "JobView": lookstream_client.Job,
    "Keypoint": lookstream_client.Keypoint,
    "Label": lookstream_client.Label,
    "Original": lookstream_client.Original,
    "Pose": lookstream_client.Pose,
    "ReplayError": lookstream_client.ReplayFailure,
    "ReplayView": lookstream_client.Replay,
    "RunView": lookstream_client.Rerun,
    "ShotView": lookstream_client.Shot,
    "SimilarView": lookstream_client.Similar,
    "SizedPicture": lookstream_client.Picture,
    "StageView": lookstream_client.Stage,
}
CLIENT_NAMES = [
    "Accepted",
    "AsyncClient",
    "Attribute",
    "Box",
    "Client",
    "Counts",
    "Failure",
    "GatewayBusy",
    "GatewayUnreachable",
    "Info",
    "InvalidValue",
    "Item",
    "Job",
    "JobEvent",
    "JobNotFound",
    "Keypoint",
    "Label",
    "Links",
    "LookstreamError",
    "NotAGateway",
    "Original",
    "Outcome",
    "Page",
    "PhotoNotFound",
    "Picture",
    "Pose",
    "Prediction",
    "Progress",
    "Replay",
    "ReplayFailure",
    "RequestRefused",
    "Rerun",
    "RetryPolicy",
    "Shot",
    "Similar",
    "Stage",
    "WaitTimedOut",
]


def test_the_public_names() -> None:
    assert lookstream.__all__ == [
        "Accepted",
        "AsyncClient",
        "Client",
        "GatewayBusy",
        "GatewayUnreachable",
        "Job",
        "JobEvent",
        "JobNotFound",
        "LookstreamError",
        "Outcome",
        "PhotoNotFound",
        "RequestRefused",
        "RetryPolicy",
        "WaitTimedOut",
    ]
    assert all(hasattr(lookstream, name) for name in lookstream.__all__)
    assert lookstream.Patience is lookstream.RetryPolicy
    assert lookstream.NotNow is lookstream.GatewayBusy
    assert lookstream.NothingThere is lookstream.PhotoNotFound
    assert lookstream_client.__all__ == CLIENT_NAMES
    assert all(hasattr(lookstream_client, name) for name in lookstream_client.__all__)
    with pytest.raises(AttributeError):
        lookstream.nothing  # noqa: B018


def test_the_client_has_every_field_of_the_api() -> None:
    """Each field of a REST answer is a field of the client's dataclass."""
    schemas = json.loads((DOCS / "openapi.json").read_text())["components"]["schemas"]
    for schema, kind in SHAPES.items():
        names = {field.name for field in fields(kind)}
        assert set(schemas[schema]["properties"]) <= names, schema


def test_both_clients_have_the_same_methods() -> None:
    both = lookstream.Client, lookstream.AsyncClient
    plain, awaited = ({n for n in vars(each) if not n.startswith("_")} for each in both)
    assert plain == awaited


def test_importing_lookstream_loads_few_packages() -> None:
    code = (
        "import sys, lookstream; before = 'httpx' in sys.modules; lookstream.Client;"
        "print(before, *sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    before, *loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert before == "False"
    assert {"pydantic", "typer", "fastapi", "structlog", "numpy"}.isdisjoint(loaded)


def test_the_job_that_the_docs_show_can_be_read() -> None:
    text = (DOCS / "rest.md").read_text()
    shown = next(
        found
        for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)
        if "caption" in (found := _document(block))
    )
    read = job(shown)
    assert (read.status, read.caption) == ("completed", shown["caption"])
    assert read.attributes["colour"].value == "red"
    assert read.pose is not None
    assert read.pose.keypoints[0].name == "left_shoulder"
    assert read.shots[0].box is not None
    assert read.original is not None
    assert read.original.format == "JPEG"
    assert read.stages["validation"].started_at == datetime.fromisoformat(
        "2026-01-02T03:04:05.120Z"
    )
    assert read.raw is shown


def _document(block: str) -> dict[str, object]:
    try:
        found = json.loads(block)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def test_missing_fields_get_empty_values() -> None:
    read = job({"job_id": "x", "status": "pending", "new": "field"})
    assert (read.caption, read.top5, dict(read.stages), read.finished) == (None, (), {}, False)


def test_artifacts_have_unique_file_names() -> None:
    read = job(
        {
            "job_id": "x",
            "status": "completed",
            "original": {"url": "http://s/o/1?sig=a", "format": "HEIF"},
            "annotated": {"url": "http://s/a/1.jpg?sig=a", "width": 1, "height": 1},
            "cutout": {"url": "http://s/c/1.png"},
            "shots": [
                {"label": name, "url": "http://s/2.jpg"} for name in ("neck", "neck", "../x")
            ],
            "thumbnails": [{"url": "http://s/t.jpg", "width": 96, "height": 128}],
        }
    )
    assert [artifact.name for artifact in artifacts(read)] == [
        "original.heic",
        "annotated.jpg",
        "cutout.png",
        "neck.jpg",
        "neck-2.jpg",
        "x.jpg",
        "thumbnail-96x128.jpg",
    ]


@pytest.mark.parametrize(
    ("filename", "names"),
    [
        ("shirt-front.png", ["shirt-front.jpg", "shirt-front-neck.jpg"]),
        ("../../a b.jpg", ["a-b.jpg", "a-b-neck.jpg"]),
        ("..", ["artifact.jpg", "neck.jpg"]),
    ],
)
def test_artifacts_are_named_after_the_photo(filename: str, names: list[str]) -> None:
    read = job(
        {
            "job_id": "x",
            "status": "completed",
            "filename": filename,
            "original": {"url": "http://s/o/1?sig=a", "format": "JPEG"},
            "shots": [{"label": "neck", "url": "http://s/2.jpg"}],
        }
    )
    assert [artifact.name for artifact in artifacts(read)] == names


def test_other_files_of_a_directory_are_skipped_with_a_reason(tmp_path: Path) -> None:
    for name in ("a.JFIF", "b.jpe", "c.mpo", "d.hif", "notes.txt", "README", ".cache.jpg"):
        (tmp_path / name).touch()
    for folder, name in (("__MACOSX", "a.jpg"), ("sub", "._e.jpg"), ("sub", "e.jpg")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).touch()
    found = select(tmp_path)
    assert [Path(str(photo)).name for photo in found.photos] == [
        "a.JFIF", "b.jpe", "c.mpo", "d.hif", "e.jpg",
    ]  # fmt: skip
    assert {path.relative_to(tmp_path).as_posix(): reason for path, reason in found.skipped} == {
        ".cache.jpg": "hidden",
        "README": "no photo (no suffix)",
        "__MACOSX/a.jpg": "added by macOS",
        "notes.txt": "no photo (.txt)",
        "sub/._e.jpg": "added by macOS",
    }


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("5", 5.0),
        ("-1", 0.0),
        ("Sat, 31 Jan 2026 12:00:07 GMT", 7.0),
        ("Sat, 31 Jan 2026 11:00:00 GMT", 0.0),
        ("soon", None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, NOW) == seconds


def test_pauses_double_up_to_a_cap_and_respect_retry_after() -> None:
    retry_policy = RetryPolicy(base_s=1, cap_s=5, dice=lambda: 1.0)
    assert [retry_policy.pause_s(attempt) for attempt in (1, 2, 3, 4, 999)] == [1, 2, 4, 5, 5]
    assert retry_policy.pause_s(1, 9) == 9
    assert RetryPolicy(base_s=1, dice=lambda: 0.0).pause_s(1) == 0.5


def test_lines_are_parsed_into_events() -> None:
    reader = SseReader()
    lines = "retry: 2000", "", ": hello", "event: job", "id: 7", "data: a", "data:b", "", "data: c"
    assert [event for line in lines if (event := reader.read(line))] == [
        ServerEvent("job", "a\nb", "7")
    ]
    assert (reader.retry_s, reader.last_event_id) == (2.0, "7")
    reader.restart()
    assert reader.read("data: d") is None
    assert reader.read("") == ServerEvent("message", "d", "7")


def test_an_incomplete_event_is_dropped() -> None:
    reader = SseReader("3")
    reader.read("id: 4")
    reader.read("data: half")
    reader.restart()
    assert reader.last_event_id == "3"
    assert reader.read("") is None


def test_options_are_encoded_as_form_query_and_body() -> None:
    options = {"stages": ("a", "b"), "force": True, "metadata": {"b": 1}, "group": None, "lane": ""}
    assert form_fields(options) == {"stages": "a,b", "force": "true", "metadata": '{"b": 1}'}
    assert query({"status": ["failed", "pending"], "text": "red", "since": NOW, "group": None}) == [
        ("status", "failed"),
        ("status", "pending"),
        ("q", "red"),
        ("since", "2026-01-31T12:00:00+00:00"),
    ]
    assert query({"needs_review": False, "type": ""}) == [("needs_review", "false")]
    assert query({"needs_review": True}) == [("needs_review", "true")]
    asked = ReplayOptions(since=NOW, job_ids=("x",), dry_run=True, rate=None)
    assert replay_body("image-validated", asked) == {
        "topic": "image-validated",
        "from": "2026-01-31T12:00:00+00:00",
        "job_ids": ["x"],
        "dry_run": True,
    }


def test_the_idempotency_key_depends_on_photo_and_options() -> None:
    key = key_of("abc", {"group": "g", "stages": ()})
    assert key == key_of("abc", {"stages": [], "group": "g", "force": False})
    assert (
        len({key, key_of("abd", {"group": "g"}), key_of("abc", {}), key_of("abc", {"x": 1})}) == 4
    )
    assert re.fullmatch(r"[\x20-\x7e]{1,255}", key_of("https://ü.example/" + "x" * 999, {}))


def test_names_of_photos(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.heic", "notes.txt", "deep/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = expand([tmp_path, str(tmp_path / "n*.txt"), "https://example.com/*.jpg", b"bytes"])
    assert found == [
        *(tmp_path / name for name in ("a.heic", "b.JPG", "deep/c.png", "notes.txt")),
        "https://example.com/*.jpg",
        b"bytes",
    ]
    assert expand(tmp_path / "a.heic") == [tmp_path / "a.heic"]
    for missing in ("none.jpg", "*.gif"):
        with pytest.raises(PhotoNotFound):
            expand(str(tmp_path / missing))
    assert listed(["# a list", "", " a.jpg \n"]) == ["a.jpg"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90m", datetime(2026, 1, 31, 10, 30, tzinfo=UTC)),
        ("2d", datetime(2026, 1, 29, 12, tzinfo=UTC)),
        ("2026-01-30T10:00:00Z", datetime(2026, 1, 30, 10, tzinfo=UTC)),
        ("2026-01-30T10:00", datetime(2026, 1, 30, 10, tzinfo=UTC)),
        ("2026-01-30T10:00+02:00", datetime(2026, 1, 30, 8, tzinfo=UTC)),
    ],
)
def test_times_of_the_command_line(text: str, expected: datetime) -> None:
    assert moment(text, NOW) == expected


@pytest.mark.parametrize(
    "text",
    ["999999w", "999999999d", "9999-12-31T23:59:59-12:00", "2026-13-01", "soon", "-1h", "٣d", ""],
)
def test_a_bad_time_is_reported(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        moment(text, NOW)
