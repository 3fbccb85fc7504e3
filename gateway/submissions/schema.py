"""The body of `POST /v1/jobs` in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.http.json_body import JSON
from gateway.submissions.body import FORM, JobRequest
from gateway.submissions.options import LONGEST_GROUP, PLAIN, SCHEMA, Options

EXAMPLES: Mapping[str, Any] = {
    "one": {"url": "https://example.com/dress.jpg"},
    "many": {
        "urls": ["https://example.com/1.jpg", "https://example.com/2.jpg"],
        "stages": ["captioning", "thumbnailing"],
        "group": "spring sale",
        "metadata": {"sku": "D-1042"},
        "lane": "bulk",
    },
    "inline": {"image_base64": "/9j/4AAQSkZJRgABAQ=="},
}

BASE64 = r"^(?:data:[^,]*,)?(?:[A-Za-z0-9+/]{4})+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
TITLES = {"url": "PhotoUrl", "urls": "PhotoUrls", "image_base64": "InlinePhoto"}


def request_body(stages: Sequence[str]) -> dict[str, Any]:
    """Return the request body; ``stages`` are the names of all stages."""
    shown = {name: {"value": value} for name, value in EXAMPLES.items()}
    return {
        "required": True,
        "content": {
            FORM: {"schema": _form(stages)},
            JSON: {"schema": _json(stages), "examples": shown},
        },
    }


def stages_schema(stages: Sequence[str]) -> dict[str, Any]:
    """Return the schema of the field `stages` in JSON."""
    names = "|".join(stages)
    return {
        "description": "the wanted stages; stages that they need are added; empty means all",
        "anyOf": [
            {"type": "array", "items": {"type": "string", "enum": [*stages]}},
            {"type": "string", "pattern": f"^ *(?:(?:{names})? *, *)*(?:{names})? *$"},
        ],
    }


def options_schema(kind: type[Options], stages: Sequence[str]) -> dict[str, Any]:
    """Return the schema of ``kind`` with this installation's stages."""
    schema = kind.model_json_schema()
    schema["properties"] |= {"stages": stages_schema(stages), "metadata": SCHEMA}
    return schema


def _json(stages: Sequence[str]) -> dict[str, Any]:
    schema = options_schema(JobRequest, stages)
    url = schema["properties"]["urls"]["items"]
    sources = {
        "url": url,
        "urls": {"type": "array", "items": url, "minItems": 1},
        "image_base64": {"type": "string", "pattern": BASE64},
    }
    # Client generators build a model from each alternative, so each alternative has the options.
    schema["anyOf"] = [
        {
            "title": TITLES[name],
            "allOf": [
                {"$ref": "#/components/schemas/Options"},
                {"type": "object", "required": [name], "properties": {name: source}},
            ],
        }
        for name, source in sources.items()
    ]
    return schema


def _form(stages: Sequence[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["files"],
        "properties": {
            "files": {
                "type": "array",
                "items": {"type": "string", "format": "binary", "minLength": 1},
                "minItems": 1,
                "description": "one photo or several",
            },
            "stages": {
                "type": "array",
                "items": {"type": "string", "enum": [*stages]},
                "description": "wanted stages, repeated or separated by commas",
            },
            "group": {"type": "string", "maxLength": LONGEST_GROUP, "pattern": PLAIN},
            "metadata": SCHEMA,
            "lane": {"type": "string", "enum": ["interactive", "bulk"]},
            "force": {"type": "boolean", "default": False},
        },
    }
