"""Validators that tell secrets and personal data from look-alikes."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from datetime import date

import orjson

from gateway.core.security.api_keys import is_well_formed

_PLACEHOLDER = re.compile(
    r"example|placeholder|your|x{4}|\*{3}|redacted|changeme|dummy|insert|replace|<|>|\$\{|\.\.\.",
    re.IGNORECASE,
)
_NO_DIGIT = re.compile("[^0-9]+")
_PARTS = re.compile(r"[A-Za-z0-9]+")
_MIN_TOKEN_PART = 12
_HAS_TOKEN_PART = re.compile(f"[A-Za-z0-9]{{{_MIN_TOKEN_PART}}}")
_MIN_DISTINCT_CHARACTERS = 8
_PLACEHOLDER_WORDS = """
    password passwort passwd pass pwd pw secret user username admin root test guest postgres mysql redis mongo
    token none null key mypassword mysecretpassword
"""
_PASSWORD_WORDS = frozenset(_PLACEHOLDER_WORDS.split())
_TEMPLATE = re.compile(r"[\[\]<>{}$%*]|example|placeholder|your|changeme|password|x{3}|\.\.\.", re.IGNORECASE)
# Domains for documentation (RFC 2606, RFC 6761), and mailboxes that belong to no person.
_RESERVED_DOMAINS = re.compile(r"(?:^|\.)(?:example(?:\.[a-z]+)?|test|invalid|localhost|local)$")
_ROLE_MAILBOX_NAMES = """
    info support contact sales help hello admin office press service security privacy legal billing noreply
    no-reply donotreply webmaster postmaster hostmaster abuse jobs careers team feedback user username name
    you email git
"""
_ROLE_MAILBOXES = frozenset(_ROLE_MAILBOX_NAMES.split())
_IBAN_LENGTHS_BY_COUNTRY = """
    15:NO 16:BE 18:DK,FI,FO,GL,NL,SD 19:MK,SI 20:AT,BA,EE,KZ,LT,LU,MN,XK 21:CH,HR,LI,LV
    22:BG,BH,CR,DE,GB,GE,IE,ME,RS,VA 23:AE,GI,IL,IQ,OM,SO,TL 24:AD,CZ,ES,MD,PK,RO,SA,SE,SK,TN,VG
    25:LY,PT,ST 26:IS,TR 27:BI,DJ,FR,GR,IT,MC,MR,SM 28:AL,AZ,BY,CY,DO,GT,HU,LB,NI,PL,SV 29:BR,EG,PS,QA,UA
    30:JO,KW,MU,YE 31:MT,SC 32:LC 33:RU
"""  # from the SWIFT registry
_IBAN_LENGTHS = {
    country: int(length)
    for length, countries in (pair.split(":") for pair in _IBAN_LENGTHS_BY_COUNTRY.split())
    for country in countries.split(",")
}
_RRN_WEIGHTS = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
# The seventh digit determines the century, for residents and foreigners.
_RRN_CENTURIES = {"9": 1800, "0": 1800, **dict.fromkeys("1256", 1900), **dict.fromkeys("3478", 2000)}
# Numbers printed in advertisements.
_INVALID_SSN = frozenset({"078051120", "219099999", "123456789"})


def digits(text: str) -> str:
    """The decimal digits of `text`, in order."""
    return _NO_DIGIT.sub("", text)


def is_random_token(text: str) -> bool:
    """Whether the text looks machine-generated rather than like a name or placeholder."""
    if _HAS_TOKEN_PART.search(text) is None:
        return False
    longest = max(_PARTS.findall(text), key=len, default="")
    if len(set(longest)) < _MIN_DISTINCT_CHARACTERS or _PLACEHOLDER.search(text):
        return False
    mixed = any(c.isdigit() for c in longest) and any(c.isalpha() for c in longest)
    both_cases = not longest.islower() and not longest.isupper() and not longest.istitle()
    return mixed or both_cases or len(longest) >= 2 * _MIN_TOKEN_PART


def is_varied(text: str) -> bool:
    """Whether a key with a known prefix has enough distinct characters."""
    return len(set(text)) >= _MIN_DISTINCT_CHARACTERS and _PLACEHOLDER.search(text) is None


def is_gateway_key(text: str) -> bool:
    """Whether the checksum of a gateway API key is right."""
    return is_well_formed(text)


def is_json_web_token(text: str) -> bool:
    """Whether the first part is a JSON header that names an algorithm."""
    header = text.split(".", 1)[0]
    try:
        found = orjson.loads(urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    except (ValueError, Base64Error):
        return False
    return isinstance(found, dict) and "alg" in found


def is_url_with_password(text: str) -> bool:
    """Whether the password of a URL is not a placeholder."""
    user, _, password = text.split("://", 1)[1].rpartition("@")[0].partition(":")
    if password.lower() in _PASSWORD_WORDS or password == user or len(set(password)) < 3:
        return False
    return _TEMPLATE.search(password) is None


def is_private_key(text: str) -> bool:
    """Whether key material follows the header, not a placeholder."""
    body = text.rsplit("-----", 1)[1]
    return len(set(body)) >= 2 * _MIN_DISTINCT_CHARACTERS and _PLACEHOLDER.search(body) is None


def is_aws_secret(text: str) -> bool:
    """Whether the last 40 characters are an AWS secret key."""
    key = text[-40:]
    return is_random_token(key) or (len(set(key)) >= 2 * _MIN_DISTINCT_CHARACTERS and is_varied(key))


def is_personal_email(text: str) -> bool:
    """Whether the address has a possible domain and no role mailbox."""
    local, _, domain = text.rstrip(".-").lower().rpartition("@")
    labels = domain.split(".")
    if len(labels) < 2 or not all(labels) or not labels[-1].isalpha() or len(labels[-1]) < 2:
        return False
    if local in _ROLE_MAILBOXES or local[0] in ".%+-" or local[-1] == "." or ".." in local:
        return False
    return _RESERVED_DOMAINS.search(domain) is None


def is_phone_number(text: str) -> bool:
    """Whether the text is a telephone number of 9 to 15 digits.

    555-01xx is fictional. Other digits may follow; after a country code the first groups are enough.
    """
    found = digits(text)
    if not 9 <= len(found) <= 15:
        rest = text.rstrip("0123456789").rstrip(" .()-") if text.startswith("+") and len(found) > 15 else ""
        return bool(rest) and is_phone_number(rest)
    if len(set(found)) < 3 or found[-10:][3:8] == "55501":
        return False
    return text[1:] != found or len(found) in (11, 12, 13) or text[0] == "0"


def is_payment_card(text: str) -> bool:
    """Whether issuer digits, length and Luhn checksum match a payment card."""
    found = digits(text)
    if len(set(found)) < 2 or not _has_issuer_format(found):
        return False
    doubled = (sum(divmod(2 * int(d), 10)) for d in found[-2::-2])
    return (sum(doubled) + sum(int(d) for d in found[-1::-2])) % 10 == 0


def _has_issuer_format(number: str) -> bool:
    if number[0] == "4":
        return len(number) in (13, 16, 19)
    if 51 <= int(number[:2]) <= 55 or 2221 <= int(number[:4]) <= 2720:
        return len(number) == 16
    if number[:2] in ("34", "37"):
        return len(number) == 15
    if number[:2] in ("30", "36", "38", "39"):
        return len(number) == 14
    return number[:2] in ("35", "60", "62", "64", "65") and len(number) == 16


def is_resident_number(text: str) -> bool:
    """Whether date and check digit of a Korean resident registration number are valid."""
    found = digits(text)
    try:
        date(_RRN_CENTURIES[found[6]] + int(found[:2]), int(found[2:4]), int(found[4:6]))
    except ValueError:
        return False
    total = sum(int(d) * weight for d, weight in zip(found, _RRN_WEIGHTS, strict=False))
    base = 13 if found[6] in "5678" else 11  # foreigners' numbers add two
    return (base - total % 11) % 10 == int(found[12])


def is_social_security_number(text: str) -> bool:
    """Whether the US social security number is assignable."""
    area, group, serial = text[:3], text[4:6], text[7:11]
    return (
        area not in ("000", "666")
        and area < "900"
        and group != "00"
        and serial != "0000"
        and digits(text) not in _INVALID_SSN
    )


def is_iban(text: str) -> bool:
    """Whether length and checksum match an IBAN."""
    length = _IBAN_LENGTHS.get(text[:2])
    if length is None:
        return False
    found, rest = "", ""
    for at, char in enumerate(text):
        if char != " ":
            found += char
        if len(found) == length:
            rest = text[at + 1 :]
            break
    if len(found) < length or rest[:1].isalnum():
        return False
    number = "".join(str(int(c, 36)) for c in found[4:] + found[:4])
    return int(number) % 97 == 1
