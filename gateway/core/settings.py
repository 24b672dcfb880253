"""Settings from environment variables and `.env`; what concerns models lives in `provider_config.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.core.logging.sampling import parse_sampling_rules
from gateway.core.service_urls import check_valkey_url, parse_database_url


class Settings(BaseSettings):
    """One process's settings; names are those of the environment (CONTRACT §2)."""

    model_config = SettingsConfigDict(env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True)

    environment: Literal["development", "staging", "production"] = "development"
    data_dir: Path = Path(".gateway")

    database_url: SecretStr = SecretStr("")
    redis_url: SecretStr = SecretStr("")
    database_pool_size: int = Field(default=10, ge=1, le=200)

    jwt_secret: SecretStr = SecretStr("")
    access_token_ttl_seconds: int = Field(default=900, ge=30, le=86_400)
    refresh_token_ttl_seconds: int = Field(default=1_209_600, ge=300)

    # Whether anybody may make an account; administrators make them on the command line in any case.
    sign_up_open: bool = True

    # Where mail goes out; without a host it is written to `<data_dir>/mailbox`.
    smtp_host: str = ""
    smtp_port: int | None = Field(default=None, ge=1, le=65_535)  # by default that of `smtp_tls`
    smtp_user: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_from: str = ""
    smtp_tls: Literal["starttls", "implicit", "none"] = "starttls"
    # Address of a page that takes a reset token behind `#token=`; without it a mail holds the token alone.
    password_reset_url: str = ""

    # Keys of any form for services, comma-separated; they act for one account of the last tier.
    gateway_api_keys: SecretStr = SecretStr("")

    provider_config: Path = Path("provider_config.yaml")
    # Where `gateway serve` started a small model of its own, the address of its OpenAI-compatible server.
    local_model_url: str = ""

    # How long a turn outlives a worker that died, and how long running ones may go on after SIGTERM.
    turn_lease_seconds: float = Field(default=20.0, ge=1, le=600)
    shutdown_grace_seconds: float = Field(default=25.0, ge=0, le=600)
    # Whether requests are answered meanwhile; where not, a proxy in front turns to another gateway.
    shutdown_listening: bool = True

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "json"
    # Which lines are kept, as `core.logging.sampling` reads them; all where it is empty.
    log_sampling: str = ""
    log_prompts: bool = False
    cors_origins: str = ""
    # Addresses of reverse proxies whose X-Forwarded-For is believed, comma-separated.
    trusted_proxies: str = ""
    # Names in the Host header that are answered, comma-separated; `*` for all. Where it is empty, a gateway
    # on a loopback address answers to local names alone: any web page can have its own name lead there.
    allowed_hosts: str = ""

    @field_validator("environment", "log_level", "log_format", "smtp_tls", mode="before")
    @classmethod
    def _fold_case(cls, value: object, info: object) -> object:
        if not isinstance(value, str):
            return value
        name = getattr(info, "field_name", "")
        return value.strip().upper() if name == "log_level" else value.strip().lower()

    @field_validator("database_url")
    @classmethod
    def _validate_database_url(cls, value: SecretStr) -> SecretStr:
        if url := value.get_secret_value().strip():
            parse_database_url(url)
        return SecretStr(url)

    @field_validator("redis_url")
    @classmethod
    def _validate_redis_url(cls, value: SecretStr) -> SecretStr:
        if url := value.get_secret_value().strip():
            check_valkey_url(url)
        return SecretStr(url)

    @field_validator("log_sampling")
    @classmethod
    def _validate_log_sampling(cls, value: str) -> str:
        parse_sampling_rules(value)
        return value

    @field_validator("smtp_port", mode="before")
    @classmethod
    def _blank_to_none(cls, value: object) -> object:
        return None if value == "" else value

    @model_validator(mode="after")
    def _require_mail_sender(self) -> Self:
        if self.smtp_host and not self.smtp_from:
            raise ValueError("SMTP_HOST is set, but not SMTP_FROM: whom should mail come from?")
        return self

    @property
    def allowed_origins(self) -> tuple[str, ...]:
        return tuple(origin.strip() for origin in self.cors_origins.split(",") if origin.strip())
