"""Security and completeness of docker-compose.yaml, for each service."""

from __future__ import annotations

import re

import pytest

from streams.stages.registry import PIPELINE
from tests.composing import FILE, REQUIRED, ROOT, Service, raw_services

SERVICES = raw_services()
STAGES = {*(node.name for node in PIPELINE), "downloading", "tracking", "intake"}
OURS = {*STAGES, "gateway", "topics"}
ONCE = {"topics", "buckets"}

every = pytest.mark.parametrize(("name", "service"), SERVICES.items(), ids=SERVICES)
ours = pytest.mark.parametrize("service", [SERVICES[n] for n in sorted(OURS)], ids=sorted(OURS))


def test_every_stage_has_a_service_that_scales() -> None:
    workers = {n for n, service in SERVICES.items() if service.get("command", [""])[0] == "worker"}
    assert workers == STAGES
    for name in STAGES:
        assert SERVICES[name]["command"] == ["worker", name]
        assert not {"container_name", "ports"} & set(SERVICES[name])


def test_only_the_gateway_is_published_and_on_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"gateway": ["${GATEWAY_BIND:-127.0.0.1}:${GATEWAY_PORT:-8000}:8000"]}


def test_only_two_services_have_internet_access() -> None:
    outward = {name for name, service in SERVICES.items() if "outside" in service["networks"]}
    assert outward == {"gateway", "downloading"}


@every
def test_hardened_limited_and_restarted(name: str, service: Service) -> None:
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is (name != "kafka")
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert service["restart"] == ("on-failure" if name in ONCE else "unless-stopped")
    assert "privileged" not in service


@every
def test_services_have_health_checks_and_wait_for_healthy_dependencies(
    name: str, service: Service
) -> None:
    if name not in ONCE:
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    for other, wanted in service.get("depends_on", {}).items():
        done = "service_completed_successfully" if other in ONCE else "service_healthy"
        assert wanted == {"condition": done}


@every
def test_images_are_pinned_and_name_no_registry(name: str, service: Service) -> None:
    if name in OURS:
        assert service["image"] == "${LOOKSTREAM_IMAGE:-lookstream:latest}"
        assert service["build"]["context"] == "."
        return
    repository, _, tag = service["image"].partition(":")
    assert re.search(r"\d+\.\d+\.\d+|\d{4}-\d\d-\d\d", tag)
    assert "." not in repository


@every
def test_mounted_files_exist(name: str, service: Service) -> None:
    for volume in service.get("volumes", []):
        source, _, rest = volume.partition(":")
        if source.startswith("."):
            assert (ROOT / source).exists(), source
            assert rest.endswith(":ro")


@ours
def test_lookstream_settings_in_the_file_exist(service: Service) -> None:
    from lookstream.settings import Settings

    known = {f"LOOKSTREAM_{name.upper()}" for name in Settings.model_fields}
    assert set(service["environment"]) <= known


def test_no_secret_has_a_default() -> None:
    words = re.findall(r"\$\{(\w*(?:SECRET|PASSWORD)\w*)", FILE.read_text())
    assert set(words) == REQUIRED


def test_the_example_of_an_environment_names_what_is_asked_for() -> None:
    example = dict(
        line.split("=", 1)
        for line in (ROOT / ".env.example").read_text().splitlines()
        if line and not line.startswith("#")
    )
    assert set(example) >= REQUIRED
    assert not any(example[name] for name in REQUIRED)
    files = [FILE, *(ROOT / "deploy" / "compose").glob("*.yaml")]
    asked_for = {name for file in files for name in re.findall(r"\$\{(\w+)", file.read_text())}
    assert set(example) <= asked_for


def test_kafka_is_the_one_that_the_tests_run() -> None:
    tested = re.search(
        r"<version>(4\.\d+\.\d+)<", (ROOT / "deploy/local/kafka/pom.xml").read_text()
    )
    assert tested is not None
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{tested[1]}"
