"""Settings from environment variables and `.env`.

Models are in `provider_config.yaml`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.core.logging.sampling import parse_sampling_rules
from gateway.core.service_urls import check_valkey_url, parse_database_url


class Settings(BaseSettings):
    """Settings of one process, named like their environment variables.

    docs/CONFIGURATION.md lists them.
    """

    model_config = SettingsConfigDict(env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True)

    environment: Literal["development", "staging", "production"] = "development"
    data_dir: Path = Path(".gateway")

    database_url: SecretStr = SecretStr("")
    redis_url: SecretStr = SecretStr("")
    database_pool_size: int = Field(default=10, ge=1, le=200)

    jwt_secret: SecretStr = SecretStr("")
    access_token_ttl_seconds: int = Field(default=900, ge=30, le=86_400)
    refresh_token_ttl_seconds: int = Field(default=1_209_600, ge=300)

    # Whether anyone may register. Administrators can always create accounts on the command line.
    sign_up_open: bool = True

    # SMTP server; without a host, mail is written to `<data_dir>/mailbox`.
    smtp_host: str = ""
    smtp_port: int | None = Field(default=None, ge=1, le=65_535)  # default depends on `smtp_tls`
    smtp_user: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_from: str = ""
    smtp_tls: Literal["starttls", "implicit", "none"] = "starttls"
    # URL of a page that reads a reset token from `#token=`; without it, a mail contains only the token.
    password_reset_url: str = ""

    # API keys of any format for services, comma-separated; they act for one account of the last tier.
    gateway_api_keys: SecretStr = SecretStr("")

    provider_config: Path = Path("provider_config.yaml")
    # Address of the small local model's OpenAI-compatible server, if `gateway serve` started one.
    local_model_url: str = ""

    # Lease of a running turn (how long it outlives its worker), and time for running turns after SIGTERM.
    turn_lease_seconds: float = Field(default=20.0, ge=1, le=600)
    shutdown_grace_seconds: float = Field(default=25.0, ge=0, le=600)
    # Whether to accept requests while shutting down; if not, a proxy in front uses another gateway.
    shutdown_listening: bool = True

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "json"
    # Sampling rules (see `core.logging.sampling`); empty keeps all lines.
    log_sampling: str = ""
    log_prompts: bool = False
    cors_origins: str = ""
    # Addresses of reverse proxies whose X-Forwarded-For header is trusted, comma-separated.
    trusted_proxies: str = ""
    # Accepted Host header names, comma-separated; `*` for all. If empty, a gateway on a loopback address
    # accepts only local names, as protection against DNS rebinding.
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
            raise ValueError("SMTP_HOST is set without SMTP_FROM. Set SMTP_FROM to the sender's address")
        return self

    @property
    def allowed_origins(self) -> tuple[str, ...]:
        return tuple(origin.strip() for origin in self.cors_origins.split(",") if origin.strip())
