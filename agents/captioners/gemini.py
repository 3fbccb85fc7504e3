"""Google's Gemini with Google's client (extra ``gemini``)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr, ValidationError

from agents.captioners import answers
from agents.captioners.exchange import Exchange, error_of, retry_after_s
from agents.captioners.prompt import SCHEMA, full_prompt, version_of
from agents.stages.errors import Rejected, StageError
from streams.events.models import Captioned

if TYPE_CHECKING:
    from google.genai.errors import APIError
    from google.genai.types import GenerateContentResponse

REFUSALS = frozenset(
    {"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY",
     "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "MODEL_ARMOR", "ESCALATION"}
)  # fmt: skip
"""Finish reasons that refuse the photo permanently."""


class GeminiModel:
    """A Gemini ``model``, such as ``gemini-2.5-flash``.

    If ``base_url`` is empty, Google's client chooses the address: the environment variable
    ``GOOGLE_GEMINI_BASE_URL`` if it is set, else Google's own address.

    The client's retries and its search for credentials are off: the runtime retries, and only
    ``key`` is used.
    """

    def __init__(
        self,
        *,
        model: str,
        key: SecretStr,
        base_url: str = "",
        prompt: str = "",
        timeout_s: float = 30,
    ) -> None:
        from google import genai
        from google.genai import types

        self.model_id = f"gemini/{model}"
        self._asked = full_prompt(prompt)
        self.version = version_of(self.model_id, self._asked)
        self._model = model
        self._exchange = Exchange(self.model_id, timeout_s=timeout_s)
        self._client = genai.Client(
            vertexai=False,
            api_key=key.get_secret_value(),
            http_options=types.HttpOptions(
                base_url=base_url or None, httpx_async_client=self._exchange.client
            ),
        ).aio
        self._config = types.GenerateContentConfig(
            response_mime_type="application/json", response_json_schema=SCHEMA
        )
        self._part = types.Part.from_bytes

    def ask(self, picture: bytes) -> Captioned:
        """Return the model's caption for a JPEG.

        Raises `Unavailable`, `BadAnswer`, `Rejected` (``caption-refused``).
        """
        from google.genai import errors

        photo = self._part(data=picture, mime_type="image/jpeg")
        contents: Any = [photo, self._asked]
        try:
            answer = self._exchange.run(
                lambda: self._client.models.generate_content(
                    model=self._model, contents=contents, config=self._config
                )
            )
        except errors.APIError as error:
            raise self._error(error) from None
        except (ValidationError, ValueError, AttributeError, TypeError):
            raise answers.nonsense("it does not follow the protocol") from None
        return answers.captioned(_words(answer), self.model_id)

    def close(self) -> None:
        self._exchange.close()

    def _error(self, error: APIError) -> StageError:
        told = str(error.details)
        if error.code == 400 and "API_KEY" in told:  # Gemini reports a bad key as 400
            return error_of(401, self.model_id)
        headers = getattr(error.response, "headers", {})
        asked_s = retry_after_s(headers.get("retry-after"))
        delay = re.search(r"'retryDelay': '(\d{1,9}(?:\.\d+)?)s'", told)
        if asked_s is None and delay:
            asked_s = float(delay[1])
        return error_of(error.code, self.model_id, asked_s)


def _words(answer: GenerateContentResponse) -> str:
    """Return the model's text. Raises `BadAnswer` and `Rejected`."""
    feedback = answer.prompt_feedback
    if feedback and feedback.block_reason:
        raise _refused(feedback.block_reason)
    first = answer.candidates[0] if answer.candidates else None
    if first is None:
        raise answers.nonsense("it has no candidate")
    if first.finish_reason and _name(first.finish_reason) in REFUSALS:
        raise _refused(first.finish_reason)
    parts = (first.content and first.content.parts) or []
    return "".join(part.text or "" for part in parts if not part.thought)


def _refused(reason: Any) -> Rejected:
    return Rejected("caption-refused", "The model refuses to describe this photo.", _name(reason))


def _name(reason: Any) -> str:
    return str(getattr(reason, "value", reason))[:100]
