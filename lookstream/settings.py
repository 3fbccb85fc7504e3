"""All settings, read from environment variables only: ``LOOKSTREAM_…``, and for other people's
models the names that these have everywhere."""

from __future__ import annotations

import re
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What an operator can set. Unset stores live under the data directory (``--data DIR``)."""

    model_config = SettingsConfigDict(
        env_prefix="LOOKSTREAM_", frozen=True, extra="ignore", populate_by_name=True
    )

    home: Path = Field(default=Path("lookstream-data"), description="data directory of `up`")
    kafka: str = Field(default="embedded://", description="embedded:// or kafka://host:port")
    artifacts: str = Field(default="", description="file:///dir or s3://key:secret@host/bucket")
    jobs: str = Field(default="", description="sqlite:///file or mongodb://…")
    host: str = Field(default="127.0.0.1", description="address the gateway binds")
    port: int = Field(default=8000, ge=0, le=65535, description="port the gateway binds")
    public_url: str = Field(default="", description="the gateway's address as clients see it")
    secret: SecretStr = Field(default=SecretStr(""), description="signs artifact links")
    thumbnails: str = Field(default="128x128", description="sizes, comma-separated")
    stages: str = Field(default="", description="more stages, as module:attribute,…")
    max_bytes: int = Field(default=50_000_000, ge=1, description="largest photo, in bytes")
    max_pixels: int = Field(default=100_000_000, ge=1, description="largest photo, in pixels")
    weights: str = Field(default="", description="garment network of your own, a .safetensors file")
    vocabulary: str = Field(default="", description="your words for what is seen, a YAML file")
    captions: Literal["local", "gemini", "openai", "transformers"] = Field(
        default="local", description="who describes: local, gemini, openai or transformers"
    )
    captions_fallback: Literal["none", "local"] = Field(
        default="none", description="who does where that one cannot: none or local"
    )
    captions_timeout_s: float = Field(
        default=30.0, gt=0, le=600, description="time for one question to a captions model"
    )
    captions_at_once: int = Field(
        default=4, ge=1, le=256, description="questions at once to a captions service"
    )
    captions_prompt: str = Field(default="", description="what is asked, in place of our words")
    captions_directory: str = Field(default="", description="model of `transformers`, a directory")
    gemini_api_key: SecretStr = Field(
        default=SecretStr(""), validation_alias="GEMINI_API_KEY", description="key of `gemini`"
    )
    gemini_model_name: str = Field(
        default="",
        validation_alias="GEMINI_MODEL_NAME",
        description="model of `gemini`, such as gemini-2.5-flash",
    )
    gemini_prompt: str = Field(
        default="",
        validation_alias="GEMINI_PROMPT",
        description="LOOKSTREAM_CAPTIONS_PROMPT for `gemini` alone",
    )
    gemini_base_url: str = Field(
        default="", validation_alias="GEMINI_BASE_URL", description="a proxy before `gemini`"
    )
    openai_base_url: str = Field(
        default="",
        validation_alias="OPENAI_BASE_URL",
        description="server of `openai`, such as http://localhost:11434/v1",
    )
    openai_api_key: SecretStr = Field(
        default=SecretStr(""),
        validation_alias="OPENAI_API_KEY",
        description="key of `openai`; none where its server wants none",
    )
    openai_model_name: str = Field(
        default="", validation_alias="OPENAI_MODEL_NAME", description="model of `openai`"
    )
    notifications: bool = Field(default=False, description="MinIO tells Kafka of uploads")
    url_allow: str = Field(default="", description="networks that URLs may reach besides public")
    url_timeout_s: float = Field(default=20.0, gt=0, description="time to fetch one URL")
    decode_timeout_s: float = Field(default=20.0, gt=0, description="time to decode one photo")
    threads: int = Field(default=0, ge=0, description="worker threads; 0 = one a core")
    partitions: int = Field(default=8, ge=1, description="partitions of new topics")
    retention_days: int = Field(default=90, ge=1, description="how long new topics keep events")
    sweep_after_s: float = Field(default=300.0, gt=0, description="age of a stalled job")
    link_expires_s: int = Field(default=86_400, ge=60, le=604_800, description="signed links' life")
    worker_host: str = Field(default="127.0.0.1", description="address of the worker's page")
    worker_port: int = Field(default=0, ge=0, le=65535, description="worker's health and metrics")
    otlp: str = Field(default="", description="collector of traces, such as http://host:4318")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="debug, info, warning or error"
    )
    log_format: Literal["json", "text", "auto"] = Field(
        default="auto", description="json, text or auto"
    )

    @field_validator("gemini_api_key", "openai_api_key", mode="before")
    @classmethod
    def _bare(cls, value: object) -> object:
        return value.strip() if isinstance(value, str) else value  # a file's key ends in a newline

    @field_validator("thumbnails")
    @classmethod
    def _sizes(cls, value: str) -> str:
        if not re.fullmatch(r"\s*\d{1,4}x\d{1,4}\s*(,\s*\d{1,4}x\d{1,4}\s*)*", value):
            raise ValueError("write sizes as 128x128,512x512")
        if re.search(r"(?<!\d)0+(?!\d)", value):
            raise ValueError("a thumbnail has at least one pixel each way")
        return value

    @field_validator("url_allow")
    @classmethod
    def _networks(cls, value: str) -> str:
        for part in filter(None, value.split(",")):
            ip_network(part.strip())
        return value

    @classmethod
    def variable(cls, name: str) -> str:
        """Return the environment variable that sets the field ``name``."""
        alias = cls.model_fields[name].validation_alias
        return alias if isinstance(alias, str) else f"LOOKSTREAM_{name.upper()}"

    @cached_property
    def thumbnail_sizes(self) -> tuple[tuple[int, int], ...]:
        pairs = (part.strip().split("x") for part in self.thumbnails.split(","))
        return tuple((int(width), int(height)) for width, height in pairs)

    @cached_property
    def allowed_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        return tuple(ip_network(part.strip()) for part in self.url_allow.split(",") if part.strip())
