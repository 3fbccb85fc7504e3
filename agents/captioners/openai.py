"""Any server with OpenAI's chat completions and pictures: vLLM, Ollama, and others.

This module uses httpx, not the official client: that client adds its own retries, logging and
limits to each request.
"""

from __future__ import annotations

import base64
from typing import Any

import httpx
from pydantic import BaseModel, Field, SecretStr, ValidationError

from agents.captioners import answers
from agents.captioners.exchange import Exchange, error_of, retry_after_s
from agents.captioners.prompt import SCHEMA, full_prompt, version_of
from agents.stages.errors import Rejected
from streams.events.models import Captioned

_FORM = {
    "type": "json_schema",
    "json_schema": {"name": "listing", "strict": True, "schema": SCHEMA},
}
_NOT_UNDERSTOOD = frozenset({400, 422, 501})
_FILTERED = ("content_filter", "content_policy_violation")


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)


class OpenAiModel:
    """A model of the server at ``base_url``, such as ``http://localhost:11434/v1``; ``key`` may be
    empty. If the server does not support structured output, later requests omit it."""

    def __init__(
        self, *, base_url: str, model: str, key: SecretStr, prompt: str = "", timeout_s: float = 30
    ) -> None:
        self.model_id = f"openai/{model}"
        self._asked = full_prompt(prompt)
        self.version = version_of(self.model_id, self._asked)
        self._model = model
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        secret = key.get_secret_value()
        self._headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        self._structured = True
        self._exchange = Exchange(self.model_id, timeout_s=timeout_s)

    def ask(self, picture: bytes) -> Captioned:
        """Return the model's caption for a JPEG.

        Raises `Unavailable`, `BadAnswer`, `Rejected` (``caption-refused``).
        """
        structured = self._structured
        answer = self._post(picture, structured)
        if structured and answer.status_code in _NOT_UNDERSTOOD and not _filtered(answer):
            again = self._post(picture, structured=False)
            self._structured = self._structured and again.status_code != 200
            answer = again
        if _filtered(answer):
            raise Rejected("caption-refused", "The model's server refuses this photo.")
        if answer.status_code != 200:
            asked_s = retry_after_s(answer.headers.get("retry-after"))
            raise error_of(answer.status_code, self.model_id, asked_s)
        return answers.captioned(_words(answer), self.model_id)

    def close(self) -> None:
        self._exchange.close()

    def _post(self, picture: bytes, structured: bool) -> httpx.Response:
        body = self._body(picture, structured)
        client = self._exchange.client
        return self._exchange.run(lambda: client.post(self._url, json=body, headers=self._headers))

    def _body(self, picture: bytes, structured: bool) -> dict[str, Any]:
        data = f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"
        content = [
            {"type": "text", "text": self._asked},
            {"type": "image_url", "image_url": {"url": data}},
        ]
        form = {"response_format": _FORM} if structured else {}
        return {"model": self._model, "messages": [{"role": "user", "content": content}], **form}


def _words(answer: httpx.Response) -> str:
    """Return the text that the model wrote. Raises `BadAnswer` if the answer is not a chat
    completion, and `Rejected` if the model refuses to describe the photo."""
    try:
        choice = _Completion.model_validate_json(answer.content).choices[0]
    except ValidationError:
        raise answers.nonsense("it is no chat completion") from None
    if choice.message.refusal or choice.finish_reason == "content_filter":
        raise Rejected(
            "caption-refused",
            "The model refuses to describe this photo.",
            (choice.message.refusal or "")[:300],
        )
    return choice.message.content or ""


def _filtered(answer: httpx.Response) -> bool:
    """Tell whether the server refuses the photo."""
    refused = answer.status_code in (400, 403)
    return refused and any(word in answer.text for word in _FILTERED)
