"""A vocabulary file is checked when a worker is built, and by `lookstream vocabulary`."""

from __future__ import annotations

from pathlib import Path

import pytest
from lookstream_client.cli import command_line
from typer.testing import CliRunner

from lookstream.errors import CannotStart
from lookstream.settings import Settings
from lookstream.wiring.vocabulary import open_vocabulary
from lookstream.wiring.workers import build_worker


def settings(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "words.yaml"
    path.write_text(text)
    return Settings(home=tmp_path, vocabulary=str(path), kafka="kafka://127.0.0.1:1")


def test_the_output_of_lookstream_vocabulary_is_a_valid_file(tmp_path: Path) -> None:
    written = CliRunner().invoke(command_line(), ["vocabulary"])
    assert written.exit_code == 0
    own = open_vocabulary(settings(tmp_path, written.stdout))
    assert own.word("types", "t-shirt") == "t-shirt"
    assert own.word("words", "polo") == "polo"


def test_a_worker_does_not_start_on_words_that_the_networks_lack(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"no 'tshirt'; did you mean 't-shirt'\?"):
        build_worker(settings(tmp_path, "types: {tee: [tshirt]}"), ["captioning"])


def test_a_file_is_checked_from_the_command_line(tmp_path: Path) -> None:
    path = Path(settings(tmp_path, "types: {frock: [dress]}").vocabulary)
    assert CliRunner().invoke(command_line(), ["vocabulary", "--check", str(path)]).exit_code == 0
    path.write_text("types: {frock: [dreß]}")
    refused = CliRunner().invoke(command_line(), ["vocabulary", "--check", str(path)])
    assert refused.exit_code == 2
    assert "dreß" in refused.output


def test_a_file_may_name_broader_words_and_words_of_earlier_networks(tmp_path: Path) -> None:
    text = "types: {bottoms: [pants], layer: [outerwear]}\nwords: {pique: [polo]}\n"
    own = open_vocabulary(settings(tmp_path, text))
    assert own.word("types", "pants") == "bottoms"
    assert own.word("types", "outerwear") == "layer"
