"""Settings: read from the environment, validated and documented."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from lookstream.settings import Settings
from lookstream.wiring import gateway as wiring

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKSTREAM_THUMBNAILS", "128x128, 512x512")
    monkeypatch.setenv("LOOKSTREAM_URL_ALLOW", "10.0.0.0/8")
    settings = Settings()
    assert settings.thumbnail_sizes == ((128, 128), (512, 512))
    assert str(settings.allowed_networks[0]) == "10.0.0.0/8"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("THUMBNAILS", "huge"),
        ("THUMBNAILS", "0x0"),
        ("URL_ALLOW", "everything"),
        ("PORT", "70000"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_invalid_values_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"LOOKSTREAM_{name}", value)
    with pytest.raises(ValidationError):
        Settings()


def test_default_stores_are_in_the_data_directory(tmp_path: Path) -> None:
    settings = wiring.resolved(Settings(home=tmp_path))
    assert settings.artifacts == f"file://{tmp_path}/artifacts"
    assert settings.jobs == f"sqlite://{tmp_path}/jobs.sqlite"


@pytest.mark.parametrize(
    ("notifications", "artifacts", "beside"),
    [
        (False, "s3://a:b@host/bucket", ["downloading", "tracking"]),
        (True, "file:///tmp/a", ["downloading", "tracking"]),
        (True, "s3://a:b@host/bucket", ["downloading", "tracking", "intake"]),
    ],
)
def test_intake_runs_only_with_upload_notifications(
    notifications: bool, artifacts: str, beside: list[str]
) -> None:
    settings = Settings(notifications=notifications, artifacts=artifacts)
    assert wiring.other_processors(settings) == beside
    planned = "object-created" in {topic.name for topic in wiring.topic_plan(settings)}
    assert planned is notifications


def test_the_secret_is_kept_private(tmp_path: Path) -> None:
    settings = wiring.resolved(Settings(home=tmp_path))
    link = wiring.link_signer(settings).sign("thumbnails/a.jpg", expires_s=60)
    assert (tmp_path / "secret").stat().st_mode & 0o077 == 0
    assert wiring.link_signer(settings).sign("thumbnails/a.jpg", expires_s=60) == link
    assert "hush" not in repr(Settings(secret="hush"))


def test_every_setting_is_documented_with_its_default() -> None:
    text = DOCS.read_text()
    for name, field in Settings.model_fields.items():
        row = next(line for line in text.splitlines() if f"| `{Settings.variable(name)}`" in line)
        _, _, default, description, _ = [cell.strip() for cell in row.split("|")]
        expected = "" if isinstance(field.default, SecretStr) else str(field.default)
        assert default.strip("`") == expected, name
        assert description == field.description


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("::1", "http://[::1]:80"),
        ("shop.lan", "http://shop.lan:80"),
    ],
)
def test_links_lead_to_where_the_gateway_listens(host: str, url: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, host=host, port=80)
    assert wiring.resolved(settings).public_url == url


def test_links_of_a_gateway_that_listens_everywhere_lead_to_this_machine(tmp_path: Path) -> None:
    found = wiring.resolved(Settings(home=tmp_path, host="0.0.0.0", port=80)).public_url
    assert re.fullmatch(r"http://(?!0\.0)\d+\.\d+\.\d+\.\d+:80", found)
