"""Order, type and strict parsing of ids."""

from __future__ import annotations

import uuid

import pytest

from gateway.core.exceptions import NotFound
from gateway.core.ids import new_id, parse_id


def test_ids_are_version_7_and_increase():
    made = [new_id() for _ in range(10_000)]
    assert made == sorted(set(made))
    assert type(made[0]) is uuid.UUID
    assert made[0].version == 7


def test_canonical_form_is_parsed_in_either_case():
    made = new_id()
    assert parse_id(str(made)) == parse_id(str(made).upper()) == made


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x" * 5000,
        uuid.UUID(int=1).hex,
        "{00000000-0000-0000-0000-000000000001}",
        "urn:uuid:00000000-0000-0000-0000-000000000001",
        "0_000000-0000-0000-0000-000000000001",
        "00000000-0000-0000-0000-00000000000\n",
        "00000000-0000-0000-0000-00000000000１",
        "00000000-0000-0000-0000-000000000001\n",
    ],
)
def test_any_other_form_is_not_found(text):
    with pytest.raises(NotFound):
        parse_id(text)
