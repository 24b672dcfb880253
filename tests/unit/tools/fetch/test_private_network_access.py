"""Known tricks to reach private addresses, against canaries on loopback that count connections."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import pytest

from gateway.domain.config.tools import ToolsConfig
from gateway.domain.messages import ToolCall
from gateway.tools.fetch.tool import FetchArguments, FetchTool
from gateway.tools.registry import ToolRegistry
from gateway.tools.result import ToolResult
from tests.support.upstreams.page_server import PageServer, page, redirect

# All of 127/8 is loopback on Linux, so one address can be allowed while another one is not.
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="one loopback address only")

SITE = "127.0.0.2"


class Names:
    """A resolver that returns a name's answers in turn, then repeats the last one; counts queries."""

    def __init__(self, **answers: Sequence[Sequence[str]]) -> None:
        self._answers = {name.replace("_", "-") + ".test": list(turns) for name, turns in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host not in self._answers:
            raise OSError("no such name")
        turns = self._answers[host]
        return turns.pop(0) if len(turns) > 1 else turns[0]


@dataclass
class Place:
    """Canaries on 127.0.0.1 and ::1 with one port, and an allowed site on 127.0.0.2."""

    canaries: tuple[PageServer, PageServer]
    site: PageServer

    @property
    def port(self) -> int:
        return self.canaries[0].port

    def tool(self, names: Names | None = None, allow: Sequence[str] = (f"{SITE}/32",)) -> FetchTool:
        fetch = {"allow_private": list(allow), "ports": [80, 443, self.port, self.site.port]}
        return FetchTool(ToolsConfig.model_validate({"fetch": fetch}), resolve=names)

    def hits(self) -> int:
        return sum(canary.connections for canary in self.canaries)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with (
        PageServer("127.0.0.1") as four,
        PageServer("::1", port=four.port) as six,
        PageServer(SITE) as site,
    ):
        for canary in (four, six):
            canary.pages["/"] = page("the secret of the house")
        yield Place((four, six), site)


async def run(tool: FetchTool, url: str) -> ToolResult:
    registry = ToolRegistry(ToolsConfig(enabled=()), instances={"fetch": tool})
    try:
        return await registry.run(ToolCall("1", "fetch", json.dumps({"url": url})))
    finally:
        await registry.aclose()


LITERALS = [
    "http://127.0.0.1:{port}/", "http://127.0.0.1.:{port}/", "http://127.255.255.254:{port}/",
    "http://0.0.0.0:{port}/", "http://0:{port}/", "http://127.1:{port}/", "http://127.0.1:{port}/",
    "http://2130706433:{port}/", "http://0x7f000001:{port}/", "http://0x7f.1:{port}/",
    "http://0x7f.0x0.0x0.0x1:{port}/", "http://017700000001:{port}/", "http://0177.0.0.1:{port}/",
    "http://0177.0x0.0.1:{port}/", "http://127.0.0.01:{port}/", "http://00127.0.0.1:{port}/",
    "http://１２７.０.０.１:{port}/", "http://①②⑦.⓪.⓪.①:{port}/", "http://127。0。0。1:{port}/",
    "http://127．0．0．1:{port}/", "http://127｡0｡0｡1:{port}/", "http://127.0.0.%31:{port}/",
    "http://%31%32%37.0.0.1:{port}/", "http://[::1]:{port}/", "http://[0:0:0:0:0:0:0:1]:{port}/",
    "http://[0000::0001]:{port}/", "http://[::]:{port}/", "http://[::127.0.0.1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/", "http://[::ffff:7f00:1]:{port}/", "http://[::ffff:0:7f00:1]:{port}/",
    "http://[64:ff9b::127.0.0.1]:{port}/", "http://[64:ff9b:1::7f00:1]:{port}/",
    "http://[2002:7f00:1::]:{port}/", "http://[2001:0:7f00:1::80ff:fffe]:{port}/",
    "http://[2607:f8b0::5efe:7f00:1]:{port}/", "http://[fe80::1]:{port}/", "http://[fe80::1%25lo]:{port}/",
    "http://[::1%25lo]:{port}/", "http://[fd00:ec2::254]:{port}/", "http://localhost:{port}/",
    "http://LOCALHOST:{port}/", "http://localhost.:{port}/", "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:{port}/",
    "http://ip6-localhost:{port}/", "http://localhost.localdomain:{port}/", "http://169.254.169.254/",
    "http://metadata.google.internal/", "http://metadata.google.internal./", "http://metadata/",
    "http://METADATA.goog/", "http://instance-data.ec2.internal/", "http://10.0.0.1:{port}/",
    "http://100.64.0.1:{port}/", "http://user@127.0.0.1:{port}/", "http://example.org@127.0.0.1:{port}/",
    "http://example.org:80@127.0.0.1:{port}/", "http://127.0.0.1:{port}\\@example.org/",
    "http://example.org\\@127.0.0.1:{port}/", "http:\\\\127.0.0.1:{port}/", "http:127.0.0.1:{port}/",
    "http:/127.0.0.1:{port}/", "http:////127.0.0.1:{port}/", "//127.0.0.1:{port}/", "http://127.0.0.1:{port}#@x/",
    "http://127.0.0.1:{port}?@x/", " http://127.0.0.1:{port}/", "http://127.0.0.1 :{port}/",
    "http://127.0.0.1\t:{port}/", "http://127.0.0.1:{port}/\r\nHost: example.org",
    "http://example.org /@127.0.0.1:{port}/", "https://127.0.0.1:{port}/", "https://[::1]:{port}/",
    "HTTP://127.0.0.1:{port}/", "file:///etc/hostname", "file://127.0.0.1:{port}/", "ftp://127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/_GET%20/", "dict://127.0.0.1:{port}/", "unix:///run/x.sock",
    "http://localhost%00.example.org:{port}/", "http://127.0.0.1%00.example.org:{port}/",
    "http://127.0.0.1%2f.example.org:{port}/", "http://127.0.0.1;example.org:{port}/",
    "http://127.0.0.1,example.org:{port}/", "http://1.1.1.1 &@127.0.0.1:{port}# @3.3.3.3/",
]  # fmt: skip


@pytest.mark.parametrize("url", LITERALS)
async def test_no_spelling_of_a_private_address_is_connected_to(place: Place, url: str) -> None:
    outcome = await run(place.tool(allow=()), url.format(port=place.port))

    assert not outcome.ok
    assert outcome.error in {"bad_address", "not_public"}
    assert "secret" not in outcome.content
    assert place.hits() == 0


@pytest.mark.parametrize("url", LITERALS)
async def test_no_redirect_leads_to_a_private_address(place: Place, url: str) -> None:
    # A site cannot send these characters in a header.
    location = url.format(port=place.port).replace("\r\n", "").replace("\t", "")
    place.site.pages["/"] = redirect(location)

    outcome = await run(place.tool(), f"http://{SITE}:{place.site.port}/")

    assert place.site.connections >= 1
    assert not outcome.ok
    assert place.hits() == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_the_last_of_several_redirects_is_checked_like_the_first(place: Place, status: int) -> None:
    place.site.pages["/"] = redirect("/second", status)
    place.site.pages["/second"] = redirect(f"//{SITE}:{place.site.port}/third", status)
    place.site.pages["/third"] = redirect(f"http://localhost:{place.port}/", status)

    outcome = await run(place.tool(), f"http://{SITE}:{place.site.port}/")

    assert [asked.path for asked in place.site.asked] == ["/", "/second", "/third"]
    assert outcome.error == "not_public"
    assert place.hits() == 0


@pytest.mark.parametrize(
    "answer",
    [
        ["127.0.0.1"],
        ["::1"],
        ["93.184.216.34", "127.0.0.1"],
        [SITE, "127.0.0.1"],
        [SITE, "::1"],
        ["127.0.0.1", SITE],
        ["::ffff:127.0.0.1"],
        ["fe80::1%lo"],
        ["0.0.0.0"],
        ["64:ff9b::7f00:1"],
        ["169.254.169.254"],
        ["not an address"],
        [],
    ],
)
async def test_a_name_with_one_forbidden_address_is_rejected(place: Place, answer: list[str]) -> None:
    outcome = await run(place.tool(Names(evil=[answer])), f"http://evil.test:{place.port}/")

    assert outcome.error == "not_public"
    assert place.hits() == place.site.connections == 0


async def test_a_name_is_resolved_once_and_pinned(place: Place) -> None:
    names = Names(rebind=[[SITE], ["127.0.0.1"]])
    place.site.pages["/"] = page("what was checked is what is read")

    outcome = await run(place.tool(names), f"http://rebind.test:{place.site.port}/")

    assert outcome.ok
    assert "what was checked" in outcome.content
    assert names.asked == ["rebind.test"]
    assert place.site.asked[0].headers["host"] == f"rebind.test:{place.site.port}"
    assert place.hits() == 0


async def test_a_redirect_to_the_same_name_is_resolved_and_checked_again(place: Place) -> None:
    names = Names(rebind=[[SITE], ["127.0.0.1"]])
    place.site.pages["/"] = redirect(f"http://rebind.test:{place.port}/")

    outcome = await run(place.tool(names), f"http://rebind.test:{place.site.port}/")

    assert names.asked == ["rebind.test", "rebind.test"]
    assert outcome.error == "not_public"
    assert place.hits() == 0


async def test_a_proxy_of_the_environment_is_not_used(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{place.port}")
    place.site.pages["/"] = page("read without a proxy")

    outcome = await run(place.tool(), f"http://{SITE}:{place.site.port}/")

    assert outcome.ok
    assert place.hits() == 0


async def test_other_ports_are_not_connected_to(place: Place) -> None:
    tool = FetchTool(ToolsConfig.model_validate({"fetch": {"allow_private": ["127.0.0.0/8"]}}))

    for port in (22, 6379, place.port):
        outcome = await run(tool, f"http://127.0.0.1:{port}/")
        assert outcome.error == "not_public"
    assert place.hits() == 0


@pytest.mark.parametrize(
    "spelling", ["http://127.0.0.1:{port}/", "http://[::1]:{port}/", "http://１２７.０.０.１:{port}/"]
)
async def test_the_canaries_detect_connections_if_they_are_allowed(place: Place, spelling: str) -> None:
    """Without this test, a canary without connections would prove nothing."""
    outcome = await run(place.tool(allow=["127.0.0.0/8", "::1/128"]), spelling.format(port=place.port))

    assert outcome.ok
    assert "the secret of the house" in outcome.content
    assert place.hits() == 1


async def test_a_redirect_to_a_private_address_is_followed_if_allowed(place: Place) -> None:
    place.site.pages["/"] = redirect(f"http://127.0.0.1:{place.port}/")

    outcome = await run(place.tool(allow=["127.0.0.0/8"]), f"http://{SITE}:{place.site.port}/")

    assert outcome.ok
    assert place.hits() == 1


async def test_the_systems_resolver_is_used_and_pinned(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[str] = []
    real: Callable[..., object] = asyncio.base_events.socket.getaddrinfo

    def getaddrinfo(host: str | bytes | None, *args: object, **kwargs: object) -> object:
        looked_up.append(str(host))
        return real(host, *args, **kwargs)

    monkeypatch.setattr("socket.getaddrinfo", getaddrinfo)
    tool = place.tool(allow=["127.0.0.0/8", "::1/128"])
    found = await tool.run(FetchArguments(url=f"http://localhost:{place.port}/"))
    await tool.aclose()

    assert "secret" in found
    assert looked_up.count("localhost") == 1
