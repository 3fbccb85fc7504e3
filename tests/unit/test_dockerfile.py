"""Rules for the Dockerfile. The tests check its text, because they have no Docker."""

from __future__ import annotations

import re
import tomllib

from tests.composing import ROOT

TEXT = (ROOT / "Dockerfile").read_text()
LINES = [line for line in TEXT.replace("\\\n", " ").splitlines() if line and line[0] != "#"]
LAST = LINES[max(n for n, line in enumerate(LINES) if line.startswith("FROM")) :]


def instruction(name: str) -> list[str]:
    return [line.removeprefix(name).strip() for line in LAST if line.startswith(f"{name} ")]


def test_the_process_is_not_root() -> None:
    assert instruction("USER") == ["10001:10001"]


def test_the_last_stage_has_no_build_tools() -> None:
    runs = " ".join(instruction("RUN"))
    assert "pip install" not in runs
    assert re.search(r"pip uninstall -y .*\bpip\b", runs)
    assert not re.search(r"\b(build-essential|gcc|g\+\+|git|curl|python3-dev)\b", runs)
    assert instruction("COPY") == ["--from=build /opt/lookstream /opt/lookstream"]


def test_the_image_has_a_health_check_and_labels() -> None:
    assert "lookstream.supervisor.probe" in instruction("HEALTHCHECK")[0]
    labels = " ".join(instruction("LABEL"))
    assert all(
        f"org.opencontainers.image.{name}=" in labels for name in ("title", "version", "revision")
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"VERSION={project['version']}" in instruction("ARG")


def test_versions_are_those_that_the_tests_ran_with() -> None:
    assert "PIP_CONSTRAINT=/source/constraints.txt" in TEXT


def test_no_host_is_named() -> None:
    assert "://" not in TEXT


def test_all_that_is_copied_reaches_the_builder() -> None:
    allowed = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    copies = [line.split()[1:-1] for line in LINES if line.startswith("COPY ")]
    copied = {name for names in copies for name in names if not names[0].startswith("--")}
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)


def test_every_package_but_those_of_training_is_copied() -> None:
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    packages = {pattern.rstrip("*") for pattern in found["find"]["include"]} - {"training"}
    assert packages <= {line.split()[1] for line in LINES if line.startswith("COPY ")}
