"""All settings. They are read from environment variables only: ``LOOKSTREAM_…``, ``GEMINI_…`` and
``OPENAI_…``."""

from __future__ import annotations

import re
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """An operator's settings. By default the stores are in the data directory (``--data DIR``)."""

    model_config = SettingsConfigDict(
        env_prefix="LOOKSTREAM_", frozen=True, extra="ignore", populate_by_name=True
    )

    home: Path = Field(default=Path("lookstream-data"), description="data directory of `up`")
    kafka: str = Field(
        default="embedded://", description="broker: embedded:// or kafka://host:port"
    )
    artifacts: str = Field(
        default="", description="artifact store: file:///dir or s3://key:secret@host/bucket"
    )
    jobs: str = Field(default="", description="job store: sqlite:///file or mongodb://…")
    host: str = Field(default="127.0.0.1", description="address that the gateway binds")
    port: int = Field(default=8000, ge=0, le=65535, description="port that the gateway binds")
    public_url: str = Field(default="", description="the gateway's URL for clients")
    hosts: str = Field(
        default="", description="more host names of the gateway, separated by commas"
    )
    secret: SecretStr = Field(default=SecretStr(""), description="key that signs artifact links")
    thumbnails: str = Field(default="128x128", description="thumbnail sizes, separated by commas")
    stages: str = Field(default="", description="additional stages, as module:attribute,…")
    max_bytes: int = Field(default=50_000_000, ge=1, description="size limit of a photo in bytes")
    max_pixels: int = Field(
        default=100_000_000, ge=1, description="size limit of a photo in pixels"
    )
    weights: str = Field(default="", description="your own garment network, a .safetensors file")
    precision: float = Field(
        default=0.93,
        ge=0.5,
        le=0.999,
        description="captions of the shipped network: share of named types that should be right",
    )
    vocabulary: str = Field(default="", description="your own vocabulary, a YAML file")
    captions: Literal["local", "gemini", "openai", "transformers"] = Field(
        default="local", description="captioner: local, gemini, openai or transformers"
    )
    captions_fallback: Literal["none", "local"] = Field(
        default="none", description="captioner when the chosen one fails: none or local"
    )
    captions_timeout_s: float = Field(
        default=30.0, gt=0, le=600, description="time limit of one request to a captioner"
    )
    captions_at_once: int = Field(
        default=4, ge=1, le=256, description="parallel requests to a captioner"
    )
    captions_prompt: str = Field(default="", description="prompt that replaces the built-in prompt")
    captions_directory: str = Field(default="", description="directory of the `transformers` model")
    gemini_api_key: SecretStr = Field(
        default=SecretStr(""), validation_alias="GEMINI_API_KEY", description="API key of `gemini`"
    )
    gemini_model_name: str = Field(
        default="",
        validation_alias="GEMINI_MODEL_NAME",
        description="model of `gemini`, such as gemini-2.5-flash",
    )
    gemini_prompt: str = Field(
        default="",
        validation_alias="GEMINI_PROMPT",
        description="LOOKSTREAM_CAPTIONS_PROMPT for `gemini` only",
    )
    gemini_base_url: str = Field(
        default="", validation_alias="GEMINI_BASE_URL", description="proxy URL for `gemini`"
    )
    openai_base_url: str = Field(
        default="",
        validation_alias="OPENAI_BASE_URL",
        description="server of `openai`, such as http://localhost:11434/v1",
    )
    openai_api_key: SecretStr = Field(
        default=SecretStr(""),
        validation_alias="OPENAI_API_KEY",
        description="API key of `openai`; optional if the server needs none",
    )
    openai_model_name: str = Field(
        default="", validation_alias="OPENAI_MODEL_NAME", description="model of `openai`"
    )
    notifications: bool = Field(
        default=False, description="MinIO publishes upload notifications to Kafka"
    )
    connections: int = Field(
        default=1_000, ge=10, description="largest number of open connections to the gateway"
    )
    head_timeout_s: float = Field(
        default=30.0, gt=0, description="time limit for the head of a request to the gateway"
    )
    body_timeout_s: float = Field(
        default=60.0,
        gt=0,
        description="seconds that a body may be behind 2 kB/s on its way to the gateway",
    )
    url_allow: str = Field(default="", description="private networks that photo URLs may reach")
    url_timeout_s: float = Field(default=20.0, gt=0, description="time limit for fetching one URL")
    url_retry_s: float = Field(
        default=300.0, ge=0, description="seconds for which the URL of a busy server is tried again"
    )
    downloads: int = Field(
        default=64, ge=1, le=1_000, description="photo URLs that a worker fetches at the same time"
    )
    decode_timeout_s: float = Field(
        default=20.0, gt=0, description="time limit for decoding one photo"
    )
    decode_cpu_s: float = Field(
        default=10.0, gt=0, description="computing time for decoding one photo in seconds"
    )
    decode_memory_mib: int = Field(
        default=0,
        ge=0,
        description="memory in MiB that a worker's decoders share; "
        "0 means half of the worker's memory limit, from 256 to 2048",
    )
    sandbox_required: bool = Field(
        default=False, description="refuse to start on a kernel that lacks Landlock or seccomp"
    )
    threads: int = Field(
        default=0, ge=0, description="compute threads of a worker; 0 means one for each core"
    )
    partitions: int = Field(default=8, ge=1, description="partitions of new topics")
    retention_days: int = Field(default=90, ge=1, description="retention of new topics in days")
    sweep_after_s: float = Field(
        default=300.0,
        gt=0,
        description="seconds until a stalled job is submitted again",
    )
    uploads_expire_s: float = Field(
        default=604_800.0,
        gt=0,
        description="seconds until an upload without a job, or of a rejected photo, is deleted",
    )
    link_expires_s: int = Field(
        default=86_400, ge=60, le=604_800, description="lifetime of signed links in seconds"
    )
    worker_host: str = Field(
        default="127.0.0.1", description="address of the worker's health and metrics server"
    )
    worker_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="port of the worker's health and metrics server; 0 means a free port",
    )
    otlp: str = Field(
        default="", description="OpenTelemetry collector for traces, such as http://host:4318"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="log level: debug, info, warning or error"
    )
    log_format: Literal["json", "text", "auto"] = Field(
        default="auto", description="log format: json, text or auto (text on a terminal)"
    )

    @field_validator("gemini_api_key", "openai_api_key", mode="before")
    @classmethod
    def _bare(cls, value: object) -> object:
        return value.strip() if isinstance(value, str) else value  # from a file

    @field_validator("thumbnails")
    @classmethod
    def _sizes(cls, value: str) -> str:
        if not re.fullmatch(r"\s*\d{1,4}x\d{1,4}\s*(,\s*\d{1,4}x\d{1,4}\s*)*", value):
            raise ValueError("write sizes as 128x128,512x512")
        if re.search(r"(?<!\d)0+(?!\d)", value):
            raise ValueError("a thumbnail's width and height must be at least 1")
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
    def host_names(self) -> tuple[str, ...]:
        return tuple(part.strip() for part in self.hosts.split(",") if part.strip())

    @cached_property
    def allowed_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        return tuple(ip_network(part.strip()) for part in self.url_allow.split(",") if part.strip())
