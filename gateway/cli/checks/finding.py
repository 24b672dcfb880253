"""One line of the doctor's report."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one check. `ok` is None for a notice that prevents nothing."""

    subject: str
    ok: bool | None
    message: str
