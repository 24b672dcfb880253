"""DATABASE_URL and REDIS_URL in vendors' formats, with clear errors."""

from __future__ import annotations

import pytest
from asyncpg.connect_utils import _parse_connect_dsn_and_args

from gateway.core.service_urls import check_valkey_url, normalize_valkey_url, parse_database_url


def parsed(url: str) -> tuple[list[tuple[str, int] | str], dict[str, object], dict[str, str]]:
    """Hosts, (user, password, database, ssl mode) and session settings, as asyncpg reads them."""
    hosts, params, *_ = _parse_connect_dsn_and_args(
        dsn=parse_database_url(url).connect_args["dsn"],
        host=None,
        port=None,
        user=None,
        password=None,
        passfile=None,
        database=None,
        ssl=None,
        direct_tls=None,
        server_settings=None,
        target_session_attrs=None,
        krbsrvname=None,
        gsslib=None,
        service=None,
        servicefile=None,
    )
    settings = dict(params.server_settings or {})
    return hosts, vars(params) if hasattr(params, "__dict__") else params._asdict(), settings


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg", "postgresql+psycopg2"])
def test_all_postgresql_schemes_are_equivalent(scheme: str) -> None:
    hosts, params, settings = parsed(f"{scheme}://ann:s3cret@db.example:6543/shop")
    assert hosts == [("db.example", 6543)]
    assert (params["user"], params["password"], params["database"]) == ("ann", "s3cret", "shop")
    assert settings == {"application_name": "llm-gateway"}
    assert parse_database_url(f"{scheme}://a@b/c").url == "postgresql+asyncpg://"


@pytest.mark.parametrize("parameter", ["sslmode", "ssl"])
@pytest.mark.parametrize("mode", ["require", "prefer", "disable"])
def test_sslmode_means_the_same_as_for_psql(parameter: str, mode: str) -> None:
    params = parsed(f"postgresql://a:b@h/d?{parameter}={mode}&channel_binding=require")[1]
    assert params["sslmode"].name == mode
    assert bool(params["ssl"]) == (mode != "disable")


def test_several_hosts_and_session_settings_are_kept() -> None:
    for url in (
        "postgres://a:b@h1:5432,h2:5433/d?application_name=mine&target_session_attrs=read-write",
        "postgresql+asyncpg://a:b@/d?host=h1:5432&host=h2:5433&application_name=mine",
        "postgresql://a:b@/d?host=h1,h2&port=5432,5433&application_name=mine",
    ):
        hosts, _, settings = parsed(url)
        assert hosts == [("h1", 5432), ("h2", 5433)]
        assert settings == {"application_name": "mine"}


def test_unix_socket_and_driver_options_are_kept() -> None:
    hosts, params, _ = parsed("postgresql+asyncpg://postgres@/gateway?host=/run/postgresql")
    assert hosts == ["/run/postgresql/.s.PGSQL.5432"]
    assert params["database"] == "gateway"
    address = parse_database_url("postgresql+asyncpg://a@h/d?prepared_statement_cache_size=0")
    assert address.url == "postgresql+asyncpg://?prepared_statement_cache_size=0"


@pytest.mark.parametrize("password", ["a/b?c#d", "p[1]", "a:b", "per%25cent", "a%40b"])
def test_password_may_contain_url_delimiters(password: str) -> None:
    expected = password.replace("%25", "%").replace("%40", "@")
    assert parsed(f"postgresql://ann:{password}@h:5432/d?sslmode=require")[1]["password"] == expected


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://a:secret@h/d", "needs PostgreSQL"),
        ("sqlite:///file.db", "needs PostgreSQL"),
        ("h:5432/secret", "no scheme"),
        ("postgresql://a:secret@h:port/d", "host or port"),
        ("postgresql://a:secret@h1:1,h2:x/d", "host or port"),
    ],
)
def test_invalid_database_url_error_hides_the_password(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        parse_database_url(url)
    assert "secret" not in str(caught.value)
    assert "postgresql://user:password@host:5432/name" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("valkey://:p@h:6379/1", "redis://:p@h:6379/1"),
        ("valkeys://h", "rediss://h"),
        ("REDIS://h", "redis://h"),
        ("unix:///run/valkey.sock?db=1", "unix:///run/valkey.sock?db=1"),
        ("rediss://h?ssl_cert_reqs=none", "rediss://h?ssl_cert_reqs=none"),
    ],
)
def test_all_valkey_schemes_are_accepted(url: str, read: str) -> None:
    assert normalize_valkey_url(url) == read
    check_valkey_url(url)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "no scheme"),
        ("localhost:6379", "no scheme"),
        ("http://secret@h", "not known"),
        ("redis+sentinel://:secret@h:26379/mymaster", "not supported"),
        ("redis-cluster://h", "not supported"),
        ("redis://:secret@h:port/0", "cannot be read"),
        ("redis://h/0?db=secret", "cannot be read"),
        ("redis://h/0?nosuchoption=secret", "cannot be read"),
    ],
)
def test_invalid_valkey_url_error_hides_the_password(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        check_valkey_url(url)
    assert "secret" not in str(caught.value)
    assert "redis://" in str(caught.value)
