"""NO_PROXY is interpreted as curl and Go do."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from gateway.providers.http.client import upstream_client
from gateway.providers.http.no_proxy import NoProxy
from gateway.providers.registry import ProviderMisconfigured

CONTAINER = "localhost,127.0.0.0/8,::1/128"  # as OrbStack and Docker set it


@pytest.mark.parametrize(
    ("text", "host", "port", "covered"),
    [
        (CONTAINER, "localhost", 11434, True),
        (CONTAINER, "127.5.0.1", 80, True),
        (CONTAINER, "::1", 80, True),
        (CONTAINER, "[::1]", 80, True),
        (CONTAINER, "128.0.0.1", 80, False),
        ("[::1]", "::1", 443, True),
        ("::1", "::1", 443, True),
        ("fd00::/8", "fd12::5", 443, True),
        ("fd00::/8", "fe80::5", 443, False),
        ("localhost:11434,[::1]:11434", "localhost", 11434, True),
        ("localhost:11434,[::1]:11434", "::1", 11434, True),
        ("localhost:11434,[::1]:11434", "localhost", 80, False),
        ("10.0.0.0/8", "10.9.8.7", 8000, True),
        ("10.0.0.5/8", "10.9.8.7", 8000, True),
        ("10.0.0.0/8", "11.0.0.1", 8000, False),
        ("10.0.0.0/8", "10.example.com", 8000, False),
        ("10.*", "10.1.2.3", 8000, True),
        ("10.*", "110.1.2.3", 8000, False),
        ("*.cluster.local", "llm.ns.svc.cluster.local", 80, True),
        ("*.cluster.local", "mycluster.local", 80, False),
        (".example.com", "api.example.com", 443, True),
        (".example.com", "example.com", 443, True),
        ("example.com", "api.example.com", 443, True),
        ("example.com", "badexample.com", 443, False),
        ("EXAMPLE.com.", "api.Example.COM", 443, True),
        ("example.com", "example.com.", 443, True),
        ("0.0.1", "10.0.0.1", 80, False),
        ("a.example b.example", "b.example", 80, True),
        (" , ,", "example.com", 80, False),
        ("*", "example.com", 80, True),
        ("", "localhost", 80, False),
    ],
)
def test_no_proxy_matches_hosts(text: str, host: str, port: int, covered: bool) -> None:
    assert NoProxy(text).matches(host, port) is covered


@pytest.mark.parametrize("entry", ["10.0.0.0/99", "http://example.com", "[::1", "a@b", "fd00::zz/8"])
def test_an_invalid_no_proxy_entry_is_reported(entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", f"localhost,{entry}")
    with pytest.raises(ProviderMisconfigured, match="NO_PROXY") as refused:
        upstream_client()
    assert repr(entry) in str(refused.value)


async def test_a_matching_host_bypasses_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def answer(name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.append(name)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()

    proxy = await asyncio.start_server(lambda r, w: answer("proxy", r, w), "127.0.0.1", 0)
    house = await asyncio.start_server(lambda r, w: answer("house", r, w), "127.0.0.1", 0)
    ports = [server.sockets[0].getsockname()[1] for server in (proxy, house)]
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{ports[0]}")
    for exceptions, expected in ((CONTAINER, "house"), ("192.168.0.0/16", "proxy")):
        monkeypatch.setenv("no_proxy", exceptions)
        async with upstream_client() as http:
            request = httpx.Request("GET", f"http://127.0.0.1:{ports[1]}/", extensions={"timeout": {}})
            response = await http.send(request, stream=True)
            await response.aclose()
        assert asked.pop() == expected
    proxy.close()
    house.close()
