"""The results of a submitted photo: words, landmarks, views and pictures."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.acceptance.photos import FOLDER, people_s_photos, photo, photos, sha256
from tests.acceptance.rest import Job, accepted, all_completed, fetched
from tests.acceptance.system import System
from tests.acceptance.website import Website
from tests.garments import jpeg, textured, tshirt

STAGES = {
    "validation", "captioning", "classification", "pose", "shots", "thumbnailing", "annotation",
}  # fmt: skip
ORIENTATION, SOFTWARE, ROTATED = 0x0112, 0x0131, 6
SOFTWARE_NAME = "a camera with a name"


def test_a_photo_is_made_ready_for_a_listing(system: System) -> None:
    exif = Image.Exif()
    exif[ORIENTATION], exif[SOFTWARE] = ROTATED, SOFTWARE_NAME
    content = jpeg(tshirt((800, 600), "crimson", textured((800, 600))), exif=exif, quality=90)
    (job,) = system.completed(content)

    assert set(job["stages"]) == STAGES
    for stage in job["stages"].values():
        assert stage["status"] == "completed"
        assert stage["attempts"] == 1
        assert stage["started_at"] <= stage["finished_at"]
        assert "error" not in stage
    assert job["run"] == 1
    assert "error" not in job
    _assert_words(job)
    _assert_pictures(job)
    original = job["original"]
    # The pixels of the file are rotated by 90°. The API gives the size of the upright picture.
    assert (original["width"], original["height"]) == (600, 800)
    assert original["sha256"] == sha256(content)
    copy = fetched(original["url"])
    assert SOFTWARE_NAME.encode() in content
    assert SOFTWARE_NAME.encode() not in copy
    assert Image.open(io.BytesIO(copy)).tobytes() == Image.open(io.BytesIO(content)).tobytes()
    untouched = f"{system.gateway}/v1/jobs/{job['job_id']}/original"
    assert sha256(httpx.get(untouched, follow_redirects=True).content) == sha256(content)


def test_a_photo_that_takes_long_to_decode_is_completed(system: System) -> None:
    """Validation and shots give up such a photo after a second, and decode it again later."""
    large = tshirt((900, 1100)).resize((9_000, 11_000))
    (job,) = system.completed(jpeg(large, quality=92, progressive=True, subsampling=0))
    assert job["original"]["width"] == 9_000
    assert {"full", "neck"} <= {shot["label"] for shot in job["shots"]}
    assert {stage["attempts"] for stage in job["stages"].values()} == {1}


def test_where_a_garment_is_and_its_views(system: System) -> None:
    (job,) = system.completed(jpeg(tshirt((900, 1200)), quality=92))
    assert job["pose"]["subject"] == "laid-out"
    for point in job["pose"]["keypoints"]:
        assert 0 <= point["x"] <= 1
        assert 0 <= point["y"] <= 1
        assert 0 <= point["confidence"] <= 1
    assert {"full", "neck", "length", "zoom"} <= {shot["label"] for shot in job["shots"]}
    for shot in job["shots"]:
        box = shot["box"]
        picture = _picture(shot["url"])
        assert picture.width == pytest.approx((box["right"] - box["left"]) * 900, abs=2)
        assert picture.height == pytest.approx((box["bottom"] - box["top"]) * 1200, abs=2)
        assert shot["reason"]
        assert 0 < shot["confidence"] <= 1


def test_the_same_photos_again_compute_nothing(system: System) -> None:
    contents = photos("again", 4)
    first = system.completed(*contents)
    before = system.computed()
    again = system.completed(*contents)
    assert system.computed() == before
    for job, known in zip(again, first, strict=True):
        assert job["job_id"] != known["job_id"]
        assert {name for name, stage in job["stages"].items() if stage["reused"]} == STAGES
        for told in ("caption", "attributes", "top5", "pose"):
            assert job[told] == known[told]


def test_only_the_stages_wanted_and_what_they_need(system: System) -> None:
    content = photo("a subset")
    (job,) = system.completed(content, stages="shots")
    assert set(job["stages"]) == {"validation", "pose", "shots"}
    assert job["caption"] is None
    assert job["annotated"] is None
    assert job["thumbnails"] == []
    (two,) = system.completed(content, stages=["captioning", "thumbnailing"])
    assert set(two["stages"]) == {"validation", "captioning", "thumbnailing"}
    assert two["caption"]
    assert two["thumbnails"]
    assert two["shots"] == []


def test_several_photos_in_one_request_keep_their_order(system: System) -> None:
    contents = photos("several", 5)
    jobs = system.completed(*contents)
    assert [job["original"]["sha256"] for job in jobs] == [sha256(each) for each in contents]


def test_a_photo_in_json(system: System) -> None:
    content = photo("in json")
    (plain,) = accepted(system.post_json(image_base64=base64.b64encode(content).decode()))
    (job,) = all_completed([system.finish(plain)])
    assert job["original"]["sha256"] == sha256(content)


def test_one_bad_url_fails_alone(system: System, website: Website) -> None:
    contents = photos("urls", 2)
    good = [website.put(f"/{n}.jpg", content) for n, content in enumerate(contents)]
    urls = [good[0], f"{website.url}/missing", "ftp://example.com/photo.jpg", good[1]]
    answer = system.post_json(urls=urls)
    assert answer.status_code == 202
    entries = answer.json()["jobs"]
    assert entries[2]["error"]["code"] == "url-not-allowed"
    one, missing, two = system.finish_all(entries[n]["job_id"] for n in (0, 1, 3))
    all_completed([one, two])
    assert (missing["status"], missing["error"]["code"]) == ("failed", "url-not-found")


def test_a_directory_by_the_command_line(system: System, tmp_path: Path) -> None:
    contents = {f"{n}.jpg": content for n, content in enumerate(photos("directory", 3))}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "notes.txt").write_text("not a photo")
    done = system.cli("submit", str(tmp_path), "--wait", "--json")
    assert done.returncode == 0, done.stderr
    jobs = all_completed(json.loads(done.stdout)["jobs"])
    assert {Path(job["photo"]).name: job["original"]["sha256"] for job in jobs} == {
        name: sha256(content) for name, content in contents.items()
    }
    told = system.cli("status", jobs[0]["job_id"], "--json")
    assert json.loads(told.stdout)["jobs"][0]["status"] == "completed"


@pytest.mark.skipif(not FOLDER, reason="LOOKSTREAM_DATA does not name a folder of photos")
def test_people_s_photos(system: System) -> None:
    count = 15 if system.kafka else 50  # FerretDB is slow at writes
    contents = people_s_photos(count)
    assert len(contents) == count
    jobs = system.completed(*contents)
    # The networks find no garment on a few photos of garments.
    named = [job for job in jobs if job["caption"]]
    assert len(named) >= count - 2
    for job in named:
        _assert_words(job)
        _assert_pictures(job)
    before = system.computed()
    system.completed(*contents)
    assert system.computed() == before


def _assert_words(job: Job) -> None:
    assert 0 < len(job["caption"]) <= 80
    assert job["attributes"]
    for attribute in job["attributes"].values():
        assert 0 <= attribute["confidence"] <= 1
    likeliest = [entry["probability"] for entry in job["top5"]]
    assert len({entry["label"] for entry in job["top5"]}) == 5
    assert likeliest == sorted(likeliest, reverse=True)
    assert 0 < sum(likeliest) <= 1.001
    assert job["models"]["captioning"]
    assert job["models"]["classification"]


def _assert_pictures(job: Job) -> None:
    for shot in job["shots"]:
        _picture(shot["url"])
    (thumbnail,) = job["thumbnails"]
    picture = _picture(thumbnail["url"])
    assert picture.size == (thumbnail["width"], thumbnail["height"])
    assert max(picture.size) == 128
    original = job["original"]
    assert picture.width / picture.height == pytest.approx(
        original["width"] / original["height"], rel=0.03
    )
    assert _picture(job["annotated"]["url"]).width == 1000


def _picture(url: str) -> Image.Image:
    """Download a picture; assert that it is a JPEG without Exif data."""
    picture = Image.open(io.BytesIO(fetched(url)))
    picture.load()
    assert picture.format == "JPEG"
    assert not picture.getexif()
    return picture
