"""The clients of Gemini and of OpenAI's protocol against a misbehaving server."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from typing import Protocol

import pytest
from pydantic import SecretStr

from agents.captioners.exchange import Stumbled
from agents.captioners.gemini import GeminiModel
from agents.captioners.openai import OpenAiModel
from agents.stages.errors import BadAnswer, Rejected, StageError, Unavailable
from streams.events.models import Captioned
from tests.garments import dress, jpeg
from tests.integration import model_server
from tests.integration.model_server import ANSWER, Behaviour, ModelServer, says, status

KEY = "sk-a-secret-of-the-operator"
PHOTO = jpeg(dress((90, 120)))
TEXT = json.dumps(ANSWER)


class Model(Protocol):
    @property
    def model_id(self) -> str: ...

    @property
    def version(self) -> str: ...

    def ask(self, picture: bytes) -> Captioned: ...

    def close(self) -> None: ...


def made(
    kind: str, url: str, *, timeout_s: float = 20.0, prompt: str = "", key: str = KEY
) -> Model:
    if kind == "gemini":
        return GeminiModel(
            model="some-model", key=SecretStr(key), base_url=url, timeout_s=timeout_s, prompt=prompt
        )
    return OpenAiModel(
        model="some/model", key=SecretStr(key), base_url=f"{url}/v1/", timeout_s=timeout_s,
        prompt=prompt,
    )  # fmt: skip


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with model_server.serving() as server:
        yield server


@pytest.fixture(params=["openai", "gemini"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model(kind: str, server: ModelServer) -> Iterator[Model]:
    model = made(kind, server.url)
    yield model
    model.close()


@pytest.fixture
def hasty(kind: str, server: ModelServer) -> Iterator[Model]:
    model = made(kind, server.url, timeout_s=0.5)
    yield model
    model.close()


def failure(model: Model) -> StageError:
    """Return the error of a request; assert that the error does not contain the key."""
    with pytest.raises(StageError) as raised:
        model.ask(PHOTO)
    told = "".join(traceback.format_exception(raised.value)) + repr(vars(raised.value))
    assert KEY not in told
    return raised.value


def test_a_photo_is_described(model: Model, kind: str, server: ModelServer) -> None:
    found = model.ask(PHOTO)
    assert found.model == model.model_id == f"{kind}/some{'-' if kind == 'gemini' else '/'}model"
    assert found.caption == ANSWER["caption"]
    assert {name: each.value for name, each in found.attributes.items()} == {
        "type": "dress",
        "colour": "red",
    }
    (asked,) = server.asked
    assert asked.picture == PHOTO
    assert KEY in str(asked.headers)
    assert KEY not in asked.path + str(asked.body)


def test_the_schema_is_requested_in_prompt_and_response_format(
    model: Model, kind: str, server: ModelServer
) -> None:
    model.ask(PHOTO)
    body = server.asked[0].body
    if kind == "gemini":
        form = body["generationConfig"]
        assert form["responseMimeType"] == "application/json"
        assert form["responseJsonSchema"]["required"] == list(ANSWER)
    else:
        form = body["response_format"]["json_schema"]
        assert (form["strict"], form["schema"]["required"]) == (True, list(ANSWER))
        assert body["model"] == "some/model"
    assert "Answer with one JSON object" in json.dumps(body)


def test_ones_own_prompt_is_asked_and_makes_another_version(kind: str, server: ModelServer) -> None:
    usual, own = made(kind, server.url), made(kind, server.url, prompt="In Latin, please.")
    try:
        own.ask(PHOTO)
        assert "In Latin, please." in json.dumps(server.asked[0].body)
        assert usual.model_id == own.model_id
        assert usual.version != own.version
        assert usual.version.startswith(f"{kind}-some-model-")
    finally:
        usual.close()
        own.close()


def test_connections_are_used_again(model: Model, server: ModelServer) -> None:
    server.turns = [says("nonsense")]
    assert isinstance(failure(model), BadAnswer)
    assert model.ask(PHOTO).caption == ANSWER["caption"]
    assert (len(server.asked), len(server.connections)) == (2, 1)


@pytest.mark.parametrize(
    "behaviour",
    [model_server.hangs, model_server.drips, model_server.drips_headers],
    ids=lambda behaviour: behaviour.__name__,
)
def test_a_timeout_is_unavailable(hasty: Model, server: ModelServer, behaviour: Behaviour) -> None:
    server.behaviour = behaviour
    error = failure(hasty)
    assert isinstance(error, Stumbled)
    assert str(error) in {
        f"captions: {hasty.model_id}: no answer within 0.5 s",
        f"captions: {hasty.model_id}: ReadTimeout",
    }


@pytest.mark.parametrize(
    "behaviour",
    [model_server.resets, model_server.garbage, model_server.cut],
    ids=lambda behaviour: behaviour.__name__,
)
def test_a_broken_connection_is_unavailable(
    model: Model, server: ModelServer, behaviour: Behaviour
) -> None:
    server.behaviour = behaviour
    assert isinstance(failure(model), Unavailable)
    server.behaviour = says(TEXT)
    assert model.ask(PHOTO).caption == ANSWER["caption"]


def test_a_refused_connection_is_unavailable(kind: str) -> None:
    with model_server.serving() as server:
        model = made(kind, server.url)
    try:
        error = failure(model)
        assert isinstance(error, Unavailable)
        assert str(error) == f"captions: {model.model_id}: ConnectError"
    finally:
        model.close()


@pytest.mark.parametrize("code", [302, 401, 403, 404, 408, 429, 500, 502, 503])
def test_a_temporary_status_is_unavailable(model: Model, server: ModelServer, code: int) -> None:
    echo = json.dumps({"error": {"message": f"bad key {KEY}", "code": code}}).encode()
    server.behaviour = status(code, echo, Location=f"{server.url}/elsewhere")
    error = failure(model)
    assert isinstance(error, Unavailable)
    assert isinstance(error, Stumbled) is (code in (500, 502))
    assert f"HTTP {code}" in str(error)
    assert len(server.asked) == 1, "neither tried again nor followed elsewhere"


def test_retry_after_is_in_the_error(model: Model, server: ModelServer) -> None:
    server.behaviour = status(429, b"no JSON", Retry_After="17")
    error = failure(model)
    assert isinstance(error, Unavailable)
    assert error.retry_after_s == 17.0


def test_geminis_retry_delay_is_in_the_error(server: ModelServer) -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}
    server.behaviour = status(429, json.dumps({"error": {"details": [info]}}).encode())
    model = made("gemini", server.url)
    try:
        error = failure(model)
        assert isinstance(error, Unavailable)
        assert error.retry_after_s == 34.5
    finally:
        model.close()


def test_geminis_invalid_key_is_reported(server: ModelServer) -> None:
    told = {"error": {"code": 400, "details": [{"reason": "API_KEY_INVALID"}]}}
    server.behaviour = status(400, json.dumps(told).encode())
    model = made("gemini", server.url)
    try:
        assert "the key is not accepted" in str(failure(model))
    finally:
        model.close()


@pytest.mark.parametrize(
    "behaviour", [model_server.refuses, model_server.blocks, says("", "content_filter")]
)
def test_a_refusal_rejects_the_photo(
    model: Model, server: ModelServer, behaviour: Behaviour
) -> None:
    server.behaviour = behaviour
    error = failure(model)
    assert isinstance(error, Rejected)
    assert error.code == "caption-refused"
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "behaviour",
    [
        says("I see a lovely dress!"),
        says(TEXT[:-30], "length"),
        says(json.dumps({**ANSWER, "attributes": "none"})),
        says(json.dumps({**ANSWER, "caption": "x" * 200})),
        says(""),
        model_server.raw(b"<html>It works!</html>"),
        model_server.raw(b"[1, 2]"),
        model_server.raw(b"{}"),
        model_server.raw(b'{"choices": [], "candidates": []}'),
        model_server.raw(b'{"choices": "?", "candidates": "?"}'),
        model_server.raw(b"\xff\xfe"),
        model_server.packed,
        model_server.pours,
    ],
    ids=[
        "prose", "cut", "schema", "caption", "empty", "html", "list", "nothing", "none", "types",
        "bytes", "packed", "endless",
    ],
)  # fmt: skip
def test_an_invalid_answer_is_caption_nonsense(
    model: Model, server: ModelServer, behaviour: Behaviour
) -> None:
    server.behaviour = behaviour
    error = failure(model)
    assert isinstance(error, BadAnswer)
    assert error.code == "caption-nonsense"


@pytest.mark.parametrize(
    ("behaviour", "caption"),
    [
        (says(f"```json\n{TEXT}\n```"), ANSWER["caption"]),
        (
            says(json.dumps({**ANSWER, "caption": "Red Dress " * 20})),
            "Red Dress " * 7 + "Red Dress",
        ),
    ],
    ids=["fenced", "over-long"],
)
def test_fenced_and_too_long_answers_are_repaired(
    model: Model, server: ModelServer, behaviour: Behaviour, caption: str
) -> None:
    server.behaviour = behaviour
    assert model.ask(PHOTO).caption == caption


def test_a_request_that_the_server_finds_faulty_fails(model: Model, server: ModelServer) -> None:
    server.behaviour = status(413)
    error = failure(model)
    assert isinstance(error, BadAnswer)
    assert error.code == "caption-request-refused"


def test_a_server_without_structured_output_is_asked_without_it(server: ModelServer) -> None:
    server.turns = [status(400)]
    model = made("openai", server.url)
    try:
        assert model.ask(PHOTO).caption == ANSWER["caption"]
        assert model.ask(PHOTO).caption == ANSWER["caption"]
        forms = ["response_format" in asked.body for asked in server.asked]
        assert forms == [True, False, False]
    finally:
        model.close()


def test_a_refused_photo_does_not_disable_structured_output(server: ModelServer) -> None:
    server.turns = [status(400), status(400)]
    model = made("openai", server.url)
    try:
        assert isinstance(failure(model), BadAnswer)
        model.ask(PHOTO)
        assert "response_format" in server.asked[-1].body
    finally:
        model.close()


def test_a_server_that_wants_no_key_is_sent_none(server: ModelServer) -> None:
    model = made("openai", server.url, key="")
    try:
        model.ask(PHOTO)
        assert "authorization" not in server.asked[0].headers
    finally:
        model.close()
