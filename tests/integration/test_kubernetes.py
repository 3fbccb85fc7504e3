"""The Kubernetes manifests, rendered by Kustomize and checked against the schemas.

Kubernetes' schemas come from `kubernetes-validate`, KEDA's from its Go module.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from deploy.local.builds import ServerUnavailable, built
from lookstream.settings import Settings
from lookstream.wiring.gateway import topic_plan
from streams.stages.registry import BUILT_IN, PIPELINE
from tests.composing import ROOT
from tests.servers import give_up

KUBERNETES = ("1.31", "1.34", "1.37")
MANIFESTS = ROOT / "deploy" / "kubernetes"
PLACES = ("base", "overlays/example")
CONSUMES = {
    **{node.name: node.consumes for node in PIPELINE},
    "downloading": None,
    "tracking": None,
    "intake": "object-created",
}

Manifest = dict[str, Any]

everywhere = pytest.mark.parametrize("place", PLACES)
every_stage = pytest.mark.parametrize("stage", CONSUMES)


@cache
def rendered(place: str) -> list[Manifest]:
    done = subprocess.run(
        [str(_tool("kustomize") / "kustomize"), "build", str(MANIFESTS / place)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return list(yaml.safe_load_all(done.stdout))


def of_kind(kind: str, place: str = "base") -> dict[str, Manifest]:
    found = [manifest for manifest in rendered(place) if manifest["kind"] == kind]
    return {manifest["metadata"]["name"]: manifest for manifest in found}


def pods(place: str) -> Iterator[Manifest]:
    for manifest in (*of_kind("Deployment", place).values(), *of_kind("Job", place).values()):
        yield manifest["spec"]["template"]["spec"]


def settings() -> Settings:
    data = of_kind("ConfigMap")["lookstream"]["data"]
    given = {name.removeprefix("LOOKSTREAM_").lower(): value for name, value in data.items()}
    return Settings(**{name: given[name] for name in Settings.model_fields if name in given})


def _tool(name: str) -> Any:
    try:
        return built(name)
    except ServerUnavailable as error:
        give_up(str(error))


@everywhere
@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_accepts_it(place: str, version: str) -> None:
    for manifest in rendered(place):
        if not manifest["apiVersion"].startswith("keda.sh/"):
            kubernetes_validate.validate(manifest, version, strict=True)


@everywhere
def test_keda_accepts_it(place: str) -> None:
    definition = yaml.safe_load((_tool("keda") / "keda.sh_scaledobjects.yaml").read_text())
    (version,) = definition["spec"]["versions"]
    schema = _strict(version["schema"]["openAPIV3Schema"])
    for scaled in of_kind("ScaledObject", place).values():
        assert scaled["apiVersion"] == f"{definition['spec']['group']}/{version['name']}"
        jsonschema.Draft202012Validator(schema).validate(scaled)


def test_the_schemas_refuse_what_is_wrong() -> None:
    wrong = {**of_kind("Service")["gateway"], "spec": {"ports": [{"prt": 80}]}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES[-1], strict=True)


@every_stage
def test_every_stage_is_deployed(stage: str) -> None:
    deployment = of_kind("Deployment")[stage]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["worker", stage]
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)
    assert "replicas" not in deployment["spec"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    budget = of_kind("PodDisruptionBudget")[stage]["spec"]
    assert budget["selector"]["matchLabels"].items() <= labels.items()


@every_stage
def test_every_stage_scales_on_its_own_lag_up_to_its_partitions(stage: str) -> None:
    scaled = of_kind("ScaledObject")[stage]["spec"]
    assert scaled["scaleTargetRef"]["name"] == stage
    slow = {each.slow: each.postpones.topic for each in BUILT_IN if each.postpones}
    expected = {stage: CONSUMES[stage]}
    expected |= {name: topic for name, topic in slow.items() if name == f"{stage}-slow"}
    found = {}
    for trigger in scaled["triggers"]:
        assert trigger["type"] == "kafka"
        assert trigger["metadata"]["offsetResetPolicy"] == "earliest"
        group = trigger["metadata"]["consumerGroup"].removeprefix("lookstream.")
        found[group] = trigger["metadata"].get("topic")
    assert found == expected
    partitions = {topic.name: topic.partitions for topic in topic_plan(settings())}
    rolling = of_kind("Deployment")[stage]["spec"]["strategy"]["rollingUpdate"]
    most = scaled["maxReplicaCount"] + rolling["maxSurge"]
    assert most <= partitions[CONSUMES[stage] or "image-validated"], "one too many gets nothing"


def test_nothing_else_is_deployed() -> None:
    assert set(of_kind("Deployment")) == {"gateway", *CONSUMES}
    assert set(of_kind("ScaledObject")) == set(CONSUMES)
    assert set(of_kind("PodDisruptionBudget")) == {"gateway", *CONSUMES}


@everywhere
def test_every_pod_is_locked_down(place: str) -> None:
    for pod in pods(place):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"requests", "limits"} <= set(container["resources"])


@everywhere
def test_manifests_reference_secrets_and_contain_none(place: str) -> None:
    assert not of_kind("Secret", place)
    for pod in pods(place):
        sources = pod["containers"][0]["envFrom"]
        assert {"secretRef": {"name": "lookstream"}} in sources
    data = of_kind("ConfigMap", place)["lookstream"]["data"]
    assert not {"LOOKSTREAM_SECRET", "LOOKSTREAM_ARTIFACTS", "LOOKSTREAM_JOBS"} & set(data)
    assert not any("@" in value for value in data.values())


@everywhere
def test_keda_uses_the_workers_broker(place: str) -> None:
    data = of_kind("ConfigMap", place)["lookstream"]["data"]
    assert data["LOOKSTREAM_KAFKA"] == f"kafka://{data['KAFKA_BOOTSTRAP']}"


def test_incoming_connections_are_denied_by_default() -> None:
    policies = of_kind("NetworkPolicy").values()
    assert not any("ingress" in policy["spec"] for policy in policies)
    closed = of_kind("NetworkPolicy")["lookstream"]["spec"]
    assert set(closed["policyTypes"]) == {"Ingress", "Egress"}
    assert closed["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "lookstream"}


def _strict(schema: Any) -> Any:
    """Return the schema changed to refuse unknown fields, like `kubectl apply`."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: _strict(value) for name, value in schema.items()}
    named = isinstance(schema.get("properties"), dict) and schema.get("type") == "object"
    free = "additionalProperties" in schema or "x-kubernetes-preserve-unknown-fields" in schema
    return {**inner, "additionalProperties": False} if named and not free else inner
