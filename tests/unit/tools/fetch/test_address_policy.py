"""Which addresses `fetch` may connect to, and how URLs are parsed."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tools.base import ToolError
from gateway.tools.fetch.address_policy import AddressPolicy
from gateway.tools.fetch.url import parse_url

FORBIDDEN = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254",
    "169.254.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1",
    "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1",
    "239.255.255.250", "240.0.0.1", "255.255.255.255", "168.63.129.16", "100.100.100.200", "192.0.0.192",
    "::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "100::1", "2001::1", "2001:0:7f00:1::1",
    "2001:10::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::1", "3fff::1", "5f00::1",
    "4000::1", "fc00::1", "fd00:ec2::254", "fd12:3456::1", "fe80::1", "fec0::1", "ff02::1",
    "2607:f8b0::5efe:7f00:1", "2607:f8b0::200:5efe:a00:1", "2620:4f:8000::1",
]  # fmt: skip
PUBLIC = [
    "8.8.8.8", "1.1.1.1", "93.184.216.34", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0",
    "169.253.255.255", "192.167.255.255", "198.17.255.255", "223.255.255.255", "126.255.255.255",
    "2606:4700::6810:84e5", "2a00:1450:4001::200e", "2001:4860:4860::8888", "2400:cb00::1",
]  # fmt: skip


@pytest.mark.parametrize("address", FORBIDDEN)
def test_non_public_addresses_are_rejected(address: str) -> None:
    assert not AddressPolicy().allows(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    assert AddressPolicy().allows(ip_address(address))


@given(st.ip_addresses())
def test_no_special_address_of_the_standard_library_is_allowed(
    address: IPv4Address | IPv6Address,
) -> None:
    special = {
        name: getattr(address, f"is_{name}")
        for name in ("private", "loopback", "link_local", "multicast", "reserved", "unspecified")
    }

    assert not AddressPolicy().allows(address) or not any(special.values())


def test_allow_private_allows_only_its_networks() -> None:
    rules = AddressPolicy([ip_network("10.1.0.0/16"), ip_network("fd12::/16"), ip_network("::1/128")])

    assert rules.allows(ip_address("10.1.2.3"))
    assert rules.allows(ip_address("fd12::7"))
    assert rules.allows(ip_address("::1"))
    assert rules.allows(ip_address("8.8.8.8"))
    for address in ("10.2.0.1", "127.0.0.1", "fd13::7", "::ffff:10.1.2.3", "64:ff9b::a01:203"):
        assert not rules.allows(ip_address(address))


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254",
     "fd20:ce::254", "fe80::a9fe:a9fe", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"],
)  # fmt: skip
def test_metadata_services_are_never_allowed(address: str) -> None:
    everything = AddressPolicy([ip_network("0.0.0.0/0"), ip_network("::/0")])

    assert everything.allows(ip_address("127.0.0.1"))
    assert not everything.allows(ip_address(address))


@pytest.mark.parametrize(
    ("url", "host", "port", "target"),
    [
        ("http://example.org", "example.org", 80, "/"),
        ("HTTPS://Example.ORG/A?b=c#d", "example.org", 443, "/A?b=c"),
        ("  http://example.org/ \n", "example.org", 80, "/"),
        ("http://example.org.:8080?x", "example.org", 8080, "/?x"),
        ("http://example.org:/", "example.org", 80, "/"),
        ("http://my_host.example/", "my_host.example", 80, "/"),
        ("http://bücher.example/ä b?q=한글", "xn--bcher-kva.example", 80, "/%C3%A4%20b?q=%ED%95%9C%EA%B8%80"),
        ("http://한국。example/", "xn--3e0b707e.example", 80, "/"),
        ("http://8.8.8.8/%2e%2e/x", "8.8.8.8", 80, "/%2e%2e/x"),
        ("http://[2606:4700::1]:443/", "2606:4700::1", 443, "/"),
        ("http://example.org/@x:y", "example.org", 80, "/@x:y"),
    ],
)
def test_a_url_is_parsed(url: str, host: str, port: int, target: str) -> None:
    found = parse_url(url)

    assert (found.host, found.port, found.target) == (host, port, target)
    assert parse_url(found.url) == found


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("", "Only http"),
        ("example.org", "Only http"),
        ("//example.org/", "Only http"),
        ("file:///etc/passwd", "Only http"),
        ("ftp://example.org/", "Only http"),
        ("gopher://example.org/", "Only http"),
        ("data:text/html,hello", "Only http"),
        ("javascript:alert(1)", "Only http"),
        ("http:example.org", "Only http"),
        ("http:/example.org", "Only http"),
        ("http:///example.org", "not a valid URL"),
        ("http://", "not a valid URL"),
        ("http://user@example.org/", "user name"),
        ("http://user:secret@example.org/", "user name"),
        ("http://example.org@127.0.0.1/", "user name"),
        ("http://example.org:80@127.0.0.1/", "user name"),
        ("http://127.0.0.1\\@example.org/", "backslash"),
        ("http:\\\\127.0.0.1\\", "backslash"),
        ("http://exa\tmple.org/", "control"),
        ("http://example.org/\r\nHost: x", "control"),
        ("http://example.org/\x00", "control"),
        ("http://example.org/\ud800", "control"),
        ("http://example.org:99999999/", "not a valid URL"),
        ("http://example.org:8a/", "not a valid URL"),
        ("http://example.org:８０/", "not a valid URL"),
        ("http://exam ple.org/", "host"),
        ("http://127.0.0.%31/", "host"),
        ("http://%6c%6f%63alhost/", "host"),
        ("http://[::1%25lo]/", "not a valid URL"),
        ("http://[fe80::1%eth0]/", "not a valid URL"),
        ("http://[::1/", "not a valid URL"),
        ("http://[1.2.3.4]/", "host"),
        ("http://[127.0.0.1]:80/", "host"),
        ("http://..../", "host"),
        ("http://example..org/", "host"),
        ("http://example.org../", "host"),
        ("http://" + "a" * 64 + ".org/", "host"),
        ("http://" + "a." * 140 + "org/", "host"),
        ("http://xn--\u00fc.org/", "host"),
        ("http://exa<b>mple.org/", "host"),
        ("http://user＠example.org/", "host"),
        ("http://example.org／x/", "host"),
        ("http://2130706433/", "four decimal"),
        ("http://0x7f000001/", "four decimal"),
        ("http://017700000001/", "four decimal"),
        ("http://0x7f.1/", "four decimal"),
        ("http://127.1/", "four decimal"),
        ("http://127.0.1/", "four decimal"),
        ("http://0177.0.0.1/", "four decimal"),
        ("http://127.0.0.01/", "four decimal"),
        ("http://0x7F.0.0.0X1/", "four decimal"),
        ("http://127.0.0.1.2/", "four decimal"),
        ("http://256.1.1.1/", "four decimal"),
        ("http://0/", "four decimal"),
        ("http://0x/", "four decimal"),
        ("http://example.0x1/", "four decimal"),
        ("http://example.org/" + "x" * 3000, "2048"),
    ],
)
def test_an_invalid_url_is_rejected_with_a_message(url: str, hint: str) -> None:
    with pytest.raises(ToolError, match=hint) as failure:
        parse_url(url)

    assert failure.value.kind == "bad_address"


@pytest.mark.parametrize(
    "host",
    ["１２７.０.０.１", "127。0。0。1", "①②⑦.0.0.1", "127．0．0．1", "127.0.0.1.", "[0:0:0:0:0:0:0:1]"],
)
def test_international_and_unusual_urls_are_normalised(host: str) -> None:
    found = parse_url(f"http://{host}/")

    assert found.address is not None
    assert found.address.is_loopback


@given(st.text(max_size=60), st.text(max_size=30))
def test_no_spelling_bypasses_the_host_check(authority: str, tail: str) -> None:
    try:
        found = parse_url(f"http://{authority}/{tail}")
    except ToolError:
        return
    assert found.host.isascii()
    assert not set(found.host) & set("@/\\?#% \t\r\n")
    assert found.target.isascii()
    assert parse_url(found.url) == found
