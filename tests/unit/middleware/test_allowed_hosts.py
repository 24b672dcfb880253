"""A gateway on a loopback address accepts local names only, against DNS rebinding."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.exceptions import InvalidRequest
from gateway.middleware.allowed_hosts import AllowedHosts
from gateway.middleware.client_ip import ClientAddresses


def scope(host: str | None, server: str = "127.0.0.1", **more: Any) -> dict[str, Any]:
    headers = [] if host is None else [(b"host", host.encode())]
    return {
        "path": "/api/chat",
        "server": (server, 8000),
        "client": ("127.0.0.1", 1),
        "headers": headers,
    } | more


def allowed(hosts: AllowedHosts, *arguments: Any, **more: Any) -> bool:
    try:
        hosts.check(scope(*arguments, **more))
    except InvalidRequest:
        return False
    return True


LOCAL = [
    "localhost:8000", "LOCALHOST", "127.0.0.1:8000", "[::1]:8000", "::1", "192.168.1.5", "app.localhost:1",
    "gateway:8000", "host.docker.internal", "mac.local", "", None,
]  # fmt: skip
FOREIGN = ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "a.b."]


@pytest.mark.parametrize("server", ["127.0.0.1", "::1", "127.0.0.2"])
def test_on_loopback_only_local_names_are_accepted(server: str) -> None:
    hosts = AllowedHosts("", ClientAddresses(""))
    assert all(allowed(hosts, host, server) for host in LOCAL)
    assert not any(allowed(hosts, host, server) for host in FOREIGN)
    assert allowed(hosts, "evil.example", server, path="/health/ready")


def test_on_a_network_and_behind_a_trusted_proxy_every_name_is_accepted_by_default() -> None:
    assert allowed(AllowedHosts("", ClientAddresses("")), "gateway.example.com", "10.0.0.7")
    assert allowed(AllowedHosts("", ClientAddresses("127.0.0.1")), "gateway.example.com")
    assert allowed(AllowedHosts("*", ClientAddresses("")), "gateway.example.com")


def test_a_list_applies_everywhere_and_a_wildcard_includes_subdomains() -> None:
    hosts = AllowedHosts("gateway.example.com, *.example.org", ClientAddresses("127.0.0.1"))
    for server in ("127.0.0.1", "10.0.0.7"):
        for host in ("gateway.example.com:443", "Gateway.Example.Com.", "a.example.org", "localhost:8000"):
            assert allowed(hosts, host, server)
        for host in ("example.org", "evil.example", "agateway.example.com", "example.org.evil.example"):
            assert not allowed(hosts, host, server)


@pytest.mark.parametrize("names", ["https://a.example", "a.example:8000", "a b"])
def test_an_invalid_host_name_prevents_the_start(names: str) -> None:
    with pytest.raises(ValueError, match="ALLOWED_HOSTS"):
        AllowedHosts(names, ClientAddresses(""))
