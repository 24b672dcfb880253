"""One line of the doctor's report."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """`good` is None where it is worth knowing but stops nothing; the sentence says how to mend it."""

    subject: str
    ok: bool | None
    message: str
