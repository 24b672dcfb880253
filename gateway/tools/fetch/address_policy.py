"""Decides which IP addresses a model may make the gateway connect to.

These are public and explicitly allowed addresses.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# The IANA registry of special-purpose addresses, and multicast. Listed here because `is_global` of the
# standard library differs between Python versions.
_NON_PUBLIC_IPV4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.31.196.0/24",
            "192.52.193.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "192.175.48.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)
# The only part of IPv6 in public use; loopback, private, link-local, multicast, IPv4-mapped, IPv4-compatible
# and NAT64 (64:ff9b::/96, 64:ff9b:1::/48) addresses are outside of it.
_GLOBAL_IPV6 = IPv6Network("2000::/3")
# Non-public parts of it: protocol assignments (such as Teredo), documentation, 6to4, AS112.
_NON_PUBLIC_IPV6 = tuple(
    map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"))
)
# Addresses that embed an IPv4 address: compatible, mapped, NAT64, Teredo, 6to4 …
_IPV4_EMBEDDING_NETWORKS = tuple(
    map(
        IPv6Network,
        (
            "::/96",
            "::ffff:0:0/96",
            "::ffff:0:0:0/96",
            "64:ff9b::/96",
            "64:ff9b:1::/48",
            "2001::/32",
            "2002::/16",
        ),
    )
)
# … and ISATAP, recognised by the third 32 bits of the address.
_ISATAP_MARKERS = (0x00005EFE, 0x02005EFE)
_IPV6_LOOPBACK = IPv6Address("::1")

# Metadata services, which return a machine's credentials: of Amazon (also for containers), Google, Azure,
# Alibaba, Oracle and OpenStack.
_METADATA: frozenset[Address] = frozenset(
    {
        *map(
            IPv4Address,
            (
                "169.254.169.254",
                "169.254.170.2",
                "169.254.170.23",
                "169.254.169.253",
                "168.63.129.16",
                "100.100.100.200",
                "192.0.0.192",
            ),
        ),
        *map(IPv6Address, ("fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fe80::a9fe:a9fe")),
    }
)
_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data"})


def is_metadata_name(host: str) -> bool:
    """Whether `host` (lower case, no trailing dot) is a name of a metadata service."""
    return host in _METADATA_NAMES or host.startswith("instance-data.")


class AddressPolicy:
    """Allows public addresses and the non-public networks in `allow_private`.

    Metadata services are never allowed, nor are IPv6 addresses that embed an IPv4 address, because they would
    bypass the policy.
    """

    def __init__(self, allow_private: Iterable[Network] = ()) -> None:
        self._allowed = tuple(allow_private)

    def allows(self, address: Address) -> bool:
        """Whether the gateway may connect to `address`."""
        if address in _METADATA or _embeds_ipv4(address):
            return False
        return _is_public(address) or any(
            network.version == address.version and address in network for network in self._allowed
        )


def _embeds_ipv4(address: Address) -> bool:
    if isinstance(address, IPv4Address) or address == _IPV6_LOOPBACK:
        return False
    if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP_MARKERS:
        return True
    return any(address in network for network in _IPV4_EMBEDDING_NETWORKS)


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NON_PUBLIC_IPV4)
    return address in _GLOBAL_IPV6 and not any(address in network for network in _NON_PUBLIC_IPV6)
