"""The processing graph. Handlers and declarations agree."""

from __future__ import annotations

import pytest

from lookstream.settings import Settings
from lookstream.wiring.stages import StageBuilder
from streams.errors import UnknownStage
from streams.stages.graph import Node, StageGraph
from streams.stages.registry import PIPELINE

GRAPH = StageGraph(PIPELINE)
ALL = GRAPH.names


@pytest.mark.parametrize(
    ("wanted", "closure"),
    [
        ((), ALL),
        (("validation",), ("validation",)),
        (("shots",), ("validation", "pose", "shots")),
        (
            ("annotation", "captioning"),
            ("validation", "captioning", "classification", "annotation"),
        ),
        (("pose", "pose"), ("validation", "pose")),
        (ALL[::-1], ALL),
    ],
)
def test_the_closure_adds_every_needed_stage(
    wanted: tuple[str, ...], closure: tuple[str, ...]
) -> None:
    assert GRAPH.closure(wanted) == closure


def test_the_error_of_an_unknown_stage_lists_the_known_stages() -> None:
    with pytest.raises(UnknownStage, match=r"unknown stage ironing, washing; there are validation"):
        GRAPH.closure(["washing", "pose", "ironing"])


@pytest.mark.parametrize(
    ("stage", "upstream", "downstream"),
    [
        ("validation", (), ALL[1:]),
        ("pose", ("validation",), ("shots",)),
        ("shots", ("validation", "pose"), ()),
        ("annotation", ("validation", "classification"), ()),
    ],
)
def test_upstream_and_downstream_follow_the_topics(
    stage: str, upstream: tuple[str, ...], downstream: tuple[str, ...]
) -> None:
    assert GRAPH.upstream(stage) == upstream
    assert GRAPH.downstream(stage) == downstream


def test_a_topic_has_one_emitter() -> None:
    assert GRAPH.emitter("shots-cut") == "shots"
    assert GRAPH.emitter("image-submitted") is None


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (Node("pose", "image-validated", "pose-guessed"), "stage pose: the name is taken"),
        (Node("posing", "image-validated", "pose-estimated"), "posing: the topic pose-estimated"),
        (Node("loop", "image-validated", "image-submitted"), "loop: the topic image-submitted"),
    ],
)
def test_a_name_and_a_topic_belong_to_one_stage(node: Node, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        StageGraph([*PIPELINE, node])


def test_a_stage_without_input_is_refused() -> None:
    with pytest.raises(ValueError, match="stage ironing: no stage emits clothes-washed"):
        StageGraph([*PIPELINE, Node("ironing", "clothes-washed", "clothes-ironed")])


def test_a_custom_stage_joins_the_graph() -> None:
    graph = StageGraph([*PIPELINE, Node("sizing", "shots-cut", "size-estimated")])
    assert graph.closure(["sizing"]) == ("validation", "pose", "shots", "sizing")
    assert graph.downstream("pose") == ("shots", "sizing")


def test_each_handler_has_the_topics_and_prefixes_of_its_declaration() -> None:
    stages = StageBuilder(Settings(threads=1)).build(ALL)
    assert tuple(stage.node for stage in stages) == PIPELINE
