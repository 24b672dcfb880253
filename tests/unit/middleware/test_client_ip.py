"""The client's address: forwarded headers count only from trusted proxies."""

from __future__ import annotations

import pytest

from gateway.middleware.client_ip import ClientAddresses

PROXIES = "127.0.0.1, 10.0.0.0/8, fd00::/8"


def found(trusted: str, peer: str | None, *forwarded: str) -> str | None:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return ClientAddresses(trusted).client_address(
        {"client": (peer, 1) if peer else None, "headers": headers}
    )


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "expected"),
    [
        ("", "203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        (PROXIES, "203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        (PROXIES, "10.1.2.3", ["198.51.100.1"], "198.51.100.1"),
        (PROXIES, "10.1.2.3", ["198.51.100.1, 10.9.9.9"], "198.51.100.1"),
        (PROXIES, "10.1.2.3", ["192.0.2.7, 198.51.100.1"], "198.51.100.1"),
        (PROXIES, "10.1.2.3", ["192.0.2.7", "198.51.100.1"], "198.51.100.1"),
        (PROXIES, "10.1.2.3", ["198.51.100.1:4711"], "198.51.100.1"),
        (PROXIES, "10.1.2.3", ["[2001:db8::1]:4711"], "2001:db8::1"),
        (PROXIES, "10.1.2.3", ["nonsense"], "10.1.2.3"),
        (PROXIES, "10.1.2.3", ["198.51.100.1, nonsense"], "10.1.2.3"),
        (PROXIES, "10.1.2.3", [], "10.1.2.3"),
        (PROXIES, "::ffff:10.1.2.3", ["198.51.100.1"], "198.51.100.1"),
        (PROXIES, "fd00::1", ["10.2.2.2"], "10.2.2.2"),
        (PROXIES, None, ["198.51.100.1"], None),
    ],
)
def test_the_nearest_untrusted_address_is_the_client(
    trusted: str, peer: str | None, forwarded: list[str], expected: str | None
) -> None:
    assert found(trusted, peer, *forwarded) == expected


def test_a_malformed_proxy_address_is_rejected() -> None:
    with pytest.raises(ValueError, match="proxy"):
        ClientAddresses("10.0.0.1, proxy.example")


def root_path(path: str, prefix: str, peer: str = "10.0.0.1") -> str:
    scope = {
        "client": (peer, 1),
        "path": path,
        "root_path": "",
        "headers": [(b"x-forwarded-prefix", prefix.encode())],
    }
    ClientAddresses(PROXIES).apply_forwarded_headers(scope)
    return str(scope["root_path"])


def test_the_prefix_stripped_by_a_trusted_proxy_is_known() -> None:
    assert root_path("/api/chat", "/llm") == "/llm"
    assert root_path("/llmx/chat", "/llm/") == "/llm"
    assert root_path("/api/chat", "/llm", peer="203.0.113.9") == ""


@pytest.mark.parametrize(
    ("path", "prefix"),
    [
        ("/x/metrics", "/x"),
        ("/health/api/auth/login", "/health"),
        ("/health/api/admin/users", "/health/"),
        ("/metrics", "/metrics"),
        ("/api/chat", "/"),
        ("/a/b/api/auth/login", "/a/b"),
    ],
)
def test_a_prefix_never_changes_the_route_of_a_path(path: str, prefix: str) -> None:
    assert root_path(path, prefix) == ""
