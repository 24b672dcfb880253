"""The garbage collector stops every request while it walks; so it walks few objects at a time."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from gateway import main

# Taken at import: other tests replace it to start their gateways faster.
freeze_gc = main.freeze_gc


@pytest.fixture
def collections() -> Iterator[list[int]]:
    """How many new objects each collection of the youngest generation began with."""
    young: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and info["generation"] == 0:
            young.append(gc.get_count()[0])

    before = gc.get_threshold()
    gc.callbacks.append(note)
    yield young
    gc.callbacks.remove(note)
    gc.set_threshold(*before)


def test_a_collection_walks_at_most_ten_thousand_new_objects(collections: list[int]) -> None:
    freeze_gc()
    collections.clear()
    kept: list[list[int]] = [[] for _ in range(150_000)]
    assert len(kept) == 150_000
    assert len(collections) >= 10
    assert max(collections) <= 11_000
