"""API keys are recognizable without a database lookup."""

from __future__ import annotations

import re
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.security.api_keys import hash_api_key, is_well_formed, new_api_key


def test_new_key_has_the_documented_format() -> None:
    keys = {new_api_key() for _ in range(200)}
    assert len(keys) == 200
    for key in keys:
        assert re.fullmatch(r"gw_[0-9A-Za-z]{32}[0-9A-Za-z]{6}", key)
        assert is_well_formed(key)


def test_the_checksum_is_the_crc32_of_the_random_part_in_base62() -> None:
    key = new_api_key()
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    value = 0
    for digit in key[-6:]:
        value = value * 62 + digits.index(digit)
    assert value == zlib.crc32(key[3:35].encode())


def test_every_single_typo_is_detected() -> None:
    key = new_api_key()
    for place in range(3, len(key)):
        other = "a" if key[place] != "a" else "b"
        assert not is_well_formed(key[:place] + other + key[place + 1 :])


@pytest.mark.parametrize("change", ["{}x", "{}\n", " {}", "GW_{}", "{}\0", "gw_{}"])
def test_key_with_surrounding_text_is_invalid(change: str) -> None:
    assert not is_well_formed(change.format(new_api_key()))


@given(st.text(max_size=60))
def test_random_text_is_not_a_key(text: str) -> None:
    assert not is_well_formed(text)
    assert not is_well_formed("gw_" + text)


def test_hashes_of_different_keys_differ() -> None:
    first, second = new_api_key(), new_api_key()
    assert len(hash_api_key(first)) == 32
    assert hash_api_key(first) != hash_api_key(second)
