"""The service's settings, each an environment variable ADAIN_*."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from platformdirs import user_data_path
from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from model.controls import CONTENT_CACHE_BYTES, MIN_SIZE
from model.errors import ParameterError
from model.images import DEFAULT_MAX_PIXELS, MAX_PIXELS

PREFIX = "ADAIN_"


class Settings(BaseSettings):
    """Read once at start; a value out of bounds stops the start with its name and bound."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    root_path: str = Field(
        "",
        pattern=r"^(/[^/?#\s]+)*$",
        description="path under which a proxy shows the service, such as /paint",
    )
    engine: Literal["process", "ray"] = Field(
        "process", description="what runs the model: this process, or replicas on a Ray cluster"
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps, xpu")
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="arithmetic of the networks"
    )
    encoder: Path | None = Field(None, description="encoder weights in place of the bundled ones")
    decoder: Path | None = Field(None, description="decoder weights in place of the bundled ones")
    max_body_bytes: int = Field(64 * 2**20, ge=1, description="largest request body")
    max_pixels: int = Field(
        DEFAULT_MAX_PIXELS,
        ge=1,
        le=MAX_PIXELS,
        description="most pixels of a picture that is sent",
    )
    decode_seconds: int = Field(
        10, ge=1, description="longest CPU time to decode one picture, in whole seconds"
    )
    decode_bytes: int | None = Field(
        None,
        ge=256 * 2**20,
        description="memory in which pictures are decoded, all together; by default a quarter of "
        "the machine's or the container's",
    )
    max_size: int | None = Field(
        None,
        ge=MIN_SIZE,
        description="longest side of a result in pixels; by default 4096 on CUDA, else 2048",
    )
    max_requests: int = Field(16, ge=1, description="stylizations admitted at a time")
    max_connections: int = Field(1000, ge=1, description="connections open at a time")
    send_seconds: float = Field(
        60, gt=0, description="longest time that a client may take to read an answer"
    )
    max_batch: int = Field(
        8, ge=1, description="stylizations of one size that are painted at once, where they wait"
    )
    max_styles: int = Field(8, ge=1, description="most styles of one request")
    deadline_seconds: float = Field(60, gt=0, description="longest time from request to response")
    max_refine_seconds: float = Field(
        0, ge=0, description="longest refinement of a result; the model does nothing else meanwhile"
    )
    style_cache_bytes: int = Field(
        16 * 2**20, ge=0, description="uploaded styles kept in memory once encoded, 20 KiB each"
    )
    content_cache_bytes: int = Field(
        CONTENT_CACHE_BYTES,
        ge=0,
        description="features of contents kept in the device's memory for the next request, about "
        "250 bytes a pixel, twice that in float32",
    )
    data_dir: Path = Field(
        default_factory=lambda: user_data_path("adain"), description="folder of the style library"
    )
    database_url: SecretStr | None = Field(
        None,
        description="postgresql://... of a library that replicas share, in place of data_dir",
    )
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="keys that open /v1 and /metrics, between commas; none: open to all"
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="host names that requests may use, between commas; by default those of this "
        "machine, or all where it listens on 0.0.0.0; * is all",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="origins whose pages may use the API, between commas; * is all"
    )
    max_saved_styles: int = Field(1000, ge=0, description="most styles in the library")
    grace_seconds: int = Field(30, ge=0, description="time to finish requests after SIGTERM")
    ray_replicas: int = Field(1, ge=1, description="replicas of the model, where Ray runs it")
    ray_max_replicas: int = Field(
        1, ge=1, description="as many where requests pile up, if more than ray_replicas"
    )
    ray_cpus: float = Field(
        1, ge=0, description="CPUs of each replica, and with that its threads; a fraction is one"
    )
    ray_gpus: float = Field(0, ge=0, description="GPUs of each replica; 0.5 lets two share one")
    log_format: Literal["auto", "text", "json"] = Field(
        "auto", description="log lines as text or as JSON; auto is text on a terminal"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least severe log lines to print"
    )

    @field_validator("api_keys", "allowed_hosts", "cors_origins", mode="before")
    @classmethod
    def split(cls, value: object) -> object:
        """Return a text as its parts between commas."""
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("api_keys", mode="before")
    @classmethod
    def check_keys(cls, value: object) -> object:
        """Refuse keys that could not work: a service must not start open by mistake."""
        if isinstance(value, str):
            keys = [part.strip() for part in value.split(",")]
            if value.strip() and not any(keys):
                raise ValueError("holds no key; leave the variable out to serve without keys")
            if not all(key.isascii() and key.isprintable() for key in keys):
                raise ValueError("a key may have printable ASCII characters only")
        return value

    @field_validator("max_refine_seconds")
    @classmethod
    def check_refinement(cls, value: float, info: ValidationInfo) -> float:
        """Refuse a refinement that no request could wait for."""
        if value >= info.data.get("deadline_seconds", math.inf):
            raise ValueError("must be less than deadline_seconds")
        return value


def refuse_unknown_variables(environment: Iterable[str]) -> None:
    """Raise ParameterError for a variable ADAIN_* that is no setting, and name the nearest one."""
    known = [f"{PREFIX}{name.upper()}" for name in Settings.model_fields]
    for name in environment:
        if name.startswith(PREFIX) and name not in known:
            nearest = difflib.get_close_matches(name, known, 1, 0.0)[0]
            raise ParameterError(
                f"{name} is no setting; did you mean {nearest}? adain serve --help lists them all"
            )


def describe() -> str:
    """Return one line per setting: variable, default, meaning."""
    lines = []
    for name, field in Settings.model_fields.items():
        value = field.get_default(call_default_factory=True)
        default = "" if value in (None, ()) else f" (default {value})"
        lines.append(f"  {PREFIX}{name.upper():<17} {field.description}{default}")
    return "\n".join(lines)
