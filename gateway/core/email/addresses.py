"""Validation and normalization of e-mail addresses."""

from __future__ import annotations

from email_validator import EmailNotValidError, validate_email

MAX_LENGTH = 254  # RFC 5321's longest path, without its brackets

# Private network names. The library rejects them as undeliverable, but here an address is first of all a
# login name.
_PRIVATE_SUFFIXES = (".localhost", ".test", ".local", ".internal", ".invalid")
_PLACEHOLDER_DOMAIN = ".example.com"
# RFC 6761: these names mean this machine. The gateway's own accounts use them.
_RESERVED_SUFFIX = ".localhost"
RESERVED_MESSAGE = "Addresses that end in .localhost are reserved. Use another address."
_INVALID_MESSAGE = "This is not a valid e-mail address."


def normalize_email(text: str) -> str:
    """Return the address in lower case and Unicode NFC, without querying DNS.

    Raises:
        ValueError: not an address. The message does not repeat the input.
    """
    text = text.strip()
    if len(text) > 2 * MAX_LENGTH:  # normalizing can shorten it, but not by half
        raise ValueError(_INVALID_MESSAGE)
    private = text.lower().endswith(_PRIVATE_SUFFIXES)
    try:
        checked = validate_email(text + _PLACEHOLDER_DOMAIN if private else text, check_deliverability=False)
    except (EmailNotValidError, UnicodeError):
        raise ValueError(_INVALID_MESSAGE) from None
    address = checked.normalized.removesuffix(_PLACEHOLDER_DOMAIN) if private else checked.normalized
    if len(address) > MAX_LENGTH:
        raise ValueError(_INVALID_MESSAGE)
    return address.lower()


def is_reserved_email(address: str) -> bool:
    """Check whether a normalized address is reserved for the gateway's own accounts."""
    return address.endswith(_RESERVED_SUFFIX)
