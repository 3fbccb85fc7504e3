"""A vision-language model in a local directory, with Hugging Face's library (extra
``transformers``).

This module downloads nothing and runs no code from the directory.
"""

from __future__ import annotations

import hashlib
import io
import threading
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from agents.captioners import answers
from agents.captioners.prompt import full_prompt, version_of
from streams.events.models import Captioned

MAX_TOKENS = {True: 512, False: 40}
"""The limit for a chat model (True), and for a model that writes one sentence (False)."""


class TransformersModel:
    """The model in ``directory``, on a GPU if there is one.

    A model with a chat template gets the prompt. A model without a chat template, such as BLIP,
    writes one sentence, which becomes the caption. The model stops writing after ``timeout_s``
    seconds.

    Raises OSError or ValueError if the directory has no such model in safetensors.
    """

    def __init__(self, directory: Path, *, prompt: str = "", timeout_s: float = 30) -> None:
        from transformers import AutoModelForImageTextToText, AutoProcessor
        from transformers.utils import logging

        logging.disable_progress_bar()
        own: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        self._processor: Any = AutoProcessor.from_pretrained(directory, **own)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        model: Any = AutoModelForImageTextToText.from_pretrained(
            directory, use_safetensors=True, dtype="auto", **own
        )
        self._model = model.eval().to(self._device)
        self._chats = bool(getattr(self._processor, "chat_template", None))
        self._asked = full_prompt(prompt) if self._chats else ""
        self.model_id = f"transformers/{directory.resolve().name}@{_digest(directory)[:8]}"
        self.version = version_of(self.model_id, self._asked)
        self._limits = {
            "max_new_tokens": MAX_TOKENS[self._chats],
            "max_time": timeout_s,
            "do_sample": False,
        }
        self._lock = threading.Lock()  # some models keep state between steps

    def ask(self, picture: bytes) -> Captioned:
        """Return the model's caption for a JPEG. Raises `BadAnswer`."""
        with Image.open(io.BytesIO(picture), formats=["JPEG"]) as image:
            inputs = self._inputs(image.convert("RGB")).to(self._device, self._model.dtype)
        with self._lock, torch.inference_mode():
            tokens = self._model.generate(**inputs, **self._limits)
        begun = inputs["input_ids"].shape[1] if self._chats else 0
        words = self._processor.decode(tokens[0][begun:], skip_special_tokens=True)
        read = answers.captioned if self._chats else answers.sentence
        return read(words, self.model_id)

    def _inputs(self, image: Image.Image) -> Any:
        if not self._chats:
            return self._processor(images=image, return_tensors="pt")
        content = [{"type": "image", "image": image}, {"type": "text", "text": self._asked}]
        return self._processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )


def _digest(directory: Path) -> str:
    """Return the SHA-256 of the model's files, including its weights."""
    digest = hashlib.sha256()
    for path in sorted(directory.iterdir()):
        if path.is_file() and path.suffix in (".json", ".jinja", ".safetensors"):
            with path.open("rb") as file:
                digest.update(path.name.encode())
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
