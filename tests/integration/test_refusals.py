"""Commands with unusable settings end at once, with code 2 and a reason."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def started(command: list[str], **settings: str) -> tuple[int, str]:
    """Run a command that ends by itself; return its exit code and its standard error."""
    kept = {name: value for name, value in os.environ.items() if "LOOKSTREAM" not in name}
    done = subprocess.run(
        [sys.executable, "-m", "lookstream", *command],
        env={**kept, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("command", [["up"], ["gateway"]])
def test_a_public_address_needs_an_option(command: list[str], tmp_path: Path) -> None:
    command = [*command, "--host", "0.0.0.0", "--port", "0"]
    code, said = started(command, LOOKSTREAM_HOME=str(tmp_path))
    assert code == 2
    assert said.startswith("lookstream: other machines can reach 0.0.0.0")


@pytest.mark.parametrize("command", ["up", "worker"])
@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("LOOKSTREAM_WEIGHTS", None, "LOOKSTREAM_WEIGHTS: there is no file"),
        ("LOOKSTREAM_VOCABULARY", "types:\n  Tee: [tshirt]\n", "did you mean 't-shirt'?"),
    ],
)
def test_an_unusable_settings_file_is_named(
    command: str, name: str, content: str | None, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    if content is not None:
        file.write_text(content)
    home = {"LOOKSTREAM_HOME": str(tmp_path / "home"), name: str(file)}
    kafka = {} if command == "up" else {"LOOKSTREAM_KAFKA": "kafka://127.0.0.1:9"}
    code, told = started([command], **home, **kafka)
    assert code == 2, told
    assert said in told
    assert len(told.strip().splitlines()) == 1
