"""E-mail addresses: checked, and brought into the one spelling under which an account is found."""

from __future__ import annotations

from email_validator import EmailNotValidError, validate_email

MAX_LENGTH = 254  # RFC 5321's longest path, without its brackets

# Names of private networks, which the library refuses because no mail goes there: here an address is
# first of all a name to sign in with.
_PRIVATE_SUFFIXES = (".localhost", ".test", ".local", ".internal", ".invalid")
_PLACEHOLDER_DOMAIN = ".example.com"
# RFC 6761: such names mean this machine. Here the gateway's own accounts have them.
_RESERVED_SUFFIX = ".localhost"
RESERVED_MESSAGE = "Addresses that end in .localhost are reserved. Use another address."
_INVALID_MESSAGE = "This is not an e-mail address."


def normalize_email(text: str) -> str:
    """The address in lower case and Unicode's composed form; no DNS is asked.

    Raises:
        ValueError: it is no address; the message holds nothing of the input.
    """
    text = text.strip()
    if len(text) > 2 * MAX_LENGTH:  # it may still get shorter, but not by so much
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
    """Whether a normalised address belongs to the gateway itself and cannot be registered."""
    return address.endswith(_RESERVED_SUFFIX)
