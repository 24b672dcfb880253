"""`gateway doctor`: checks the gateway's dependencies and suggests remedies."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import typer

from gateway.cli import migrations
from gateway.cli.checks import host, valkey
from gateway.cli.checks.finding import Finding
from gateway.cli.database import has_table
from gateway.cli.environment import command_settings
from gateway.cli.errors import OperatorError, message_for
from gateway.cli.models import check_providers, missing_models
from gateway.core.settings import Settings
from gateway.domain.config.catalog import Catalog
from gateway.domain.config.loader import ConfigError
from gateway.domain.config.providers import ProviderConfig
from gateway.embedded.errors import EngineError
from gateway.models.response_embedding import TABLE as SEMANTIC_TABLE
from gateway.providers.base import ProviderHealth
from gateway.providers.registry import PROVIDER_TYPES, ProviderMisconfigured
from gateway.services.operations.config_file import load_catalog, require_models
from gateway.tools.code.isolation import detect_isolation
from gateway.tools.registry import ToolConfigurationError, ToolRegistry


def run_checks(data_dir: Path | None) -> int:
    """Print every finding; returns 1 if anything essential fails, otherwise 0."""
    essential = True
    try:
        with command_settings(data_dir) as settings:
            for finding in iter_findings(settings):
                essential &= finding.ok is not False
                mark = {True: "ok  ", False: "FAIL", None: "note"}[finding.ok]
                typer.echo(f"{mark}  {finding.subject:<12} {finding.message}")
    except (EngineError, OperatorError) as error:
        typer.echo(f"FAIL  {'engines':<12} {error}")
        return 1
    typer.echo("Everything essential works." if essential else "Fix what is marked FAIL and run it again.")
    return 0 if essential else 1


def iter_findings(settings: Settings) -> Iterator[Finding]:
    """Run all checks; a failing one does not prevent the next."""
    yield from _check_database(settings.database_url.get_secret_value())
    if (clock := host.check_clock(settings)) is not None:
        yield clock
    yield valkey.check_valkey(settings.redis_url.get_secret_value())
    try:
        catalog = load_catalog(settings.provider_config)
    except ConfigError as error:
        yield Finding("providers", False, str(error))
    else:
        yield from _check_configuration(catalog, settings)
        try:
            require_models(catalog, settings.provider_config)
        except ConfigError as error:
            yield Finding("models", False, str(error))
    yield _check_sandbox()
    yield host.check_disk(settings)
    yield host.check_mail(settings)
    yield from host.check_tracing()
    if settings.log_prompts:
        yield Finding(
            "log", None, "LOG_PROMPTS is set, so prompts and answers are logged. Unset it to stop that."
        )


def _check_configuration(catalog: Catalog, settings: Settings) -> Iterator[Finding]:
    try:
        ToolRegistry(catalog.tools)
        found = asyncio.run(check_providers(catalog, settings.local_model_url))
    except (ProviderMisconfigured, ToolConfigurationError) as error:
        yield Finding("config", False, str(error))
        return
    source = "environment" if settings.provider_config == Path() else settings.provider_config
    yield Finding("config", True, f"{source}: {len(catalog.models)} models.")
    yield from _check_providers(catalog, found)
    yield from _missing_models(asyncio.run(missing_models(catalog, found)))
    if catalog.cache.semantic.enabled:
        yield _check_semantic_cache(settings.database_url.get_secret_value())


def _check_database(url: str) -> Iterator[Finding]:
    try:
        revision = migrations.current_revision(url)
    except Exception as error:
        sentence = str(error) if isinstance(error, OperatorError) else message_for(error)
        if not sentence:
            raise
        yield Finding("database", False, sentence)
        return
    yield Finding("database", True, "PostgreSQL is reachable.")
    yield _check_schema(url, revision)


def _check_schema(url: str, revision: str) -> Finding:
    config = migrations.alembic_config(url)
    newest = migrations.latest_revision(config)
    if revision == newest:
        return Finding("migrations", True, f"The schema is at the latest revision, {newest}.")
    try:
        ahead = migrations.is_ahead(config, revision)
        if ahead:
            migrations.check_compatible(url, config, revision)
    except OperatorError as error:
        return Finding("migrations", False, str(error))
    if ahead:
        return Finding(
            "migrations",
            None,
            f"The schema is at {revision}, from a newer release. This program is at {newest} and is "
            f"compatible "
            "with it. There is nothing to migrate.",
        )
    return Finding(
        "migrations",
        False,
        f"The schema is at {revision or 'no revision'}, but the program needs {newest}. Run "
        f"`gateway migrate`.",
    )


def _check_semantic_cache(url: str) -> Finding:
    try:
        table_exists = has_table(url, SEMANTIC_TABLE)
    except OperatorError as error:
        return Finding("semantic", None, str(error))
    if table_exists:
        return Finding("semantic", True, "The table of the semantic cache exists.")
    return Finding(
        "semantic",
        None,
        "cache.semantic is enabled, but the database has no pgvector, so the semantic cache is off. "
        "Install pgvector, run CREATE EXTENSION vector as a superuser, and restart the gateway.",
    )


def _check_providers(catalog: Catalog, found: dict[str, ProviderHealth]) -> Iterator[Finding]:
    for name, config in catalog.providers.items():
        health = found.get(name)
        if health is not None and health.reachable:
            yield Finding(name, True, health.detail)
        elif health is not None:
            yield Finding(name, None, f"{health.detail}: {_provider_remedy(name, config, health)}")
        elif not PROVIDER_TYPES[config.type].external:
            yield Finding(name, None, "Not running. `gateway serve` starts it if no other provider answers.")
        else:
            variable = PROVIDER_TYPES[config.type].env_key or f"providers.{name}.api_key"
            yield Finding(name, None, f"Not configured. Set {variable} to use it.")
    if not any(health.reachable for health in found.values()):
        yield Finding(
            "models",
            None,
            "No provider is reachable. Start Ollama and set OLLAMA_URL, or set OPENAI_API_KEY. Until then "
            "`gateway serve` uses its small local model.",
        )


def _provider_remedy(name: str, config: ProviderConfig, health: ProviderHealth) -> str:
    if "credentials" in health.detail:
        return f"check providers.{name}.api_key."
    return PROVIDER_TYPES[config.type].setup_hint or (
        f"check providers.{name}.base_url, and HTTPS_PROXY and NO_PROXY if there is a proxy."
    )


def _missing_models(lacking: dict[str, list[str]]) -> Iterator[Finding]:
    for name, models in lacking.items():
        if not models:
            yield Finding(f"{name} models", True, "All configured models are available.")
        for model in models:
            yield Finding(
                f"{name} models",
                None,
                f"{model} is configured but not pulled. Run `ollama pull {model}`, or remove it "
                f"from the configuration.",
            )


def _check_sandbox() -> Finding:
    layer = detect_isolation()
    return Finding("sandbox", True if layer.name == "bwrap" else None, layer.description)
