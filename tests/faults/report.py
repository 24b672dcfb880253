"""The table of faults, made of what one run saw, or several together.

`python -m tests.faults.report SUMMARY… [--write]` prints it, and puts it into docs/RELIABILITY.md if told to.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.paths import PROJECT

PAGE = PROJECT / "docs" / "RELIABILITY.md"
BEGIN, END = (
    "<!-- faults: made by `python -m tests.faults.report faults.json --write` -->",
    "<!-- /faults -->",
)
# Of figures that are seconds, what they say.
_FIGURES = {
    "added": "at most {} s added",
    "at_once": "refused within {} s",
    "back": "normal again after {} s",
    "closed": "upstream closed after {} s",
    "descriptors": "descriptors left over: {}",
    "down_for": "down for {} s",
    "finished": "{} of them `done`",
    "freed_after": "conversation free after {} s",
    "memory_percent": "memory within {} %",
    "normal_after": "last refusal {} s after it was up again",
    "refused": "{} refused",
    "seconds": "exit after {} s",
    "slowest_other": "others' slowest {} s",
    "tasks": "tasks left over: {}",
    "told_after": "told to the end after {} s",
    "turned_away": "{} turned away",
    "turns_a_second": "{} turns a second",
    "waited": "nobody waited longer than {} s",
    "within": "the slowest within {} s",
}


def table(summary: dict[str, Any]) -> str:
    """Markdown: fault, times tried, what was seen."""
    lines = ["| fault | tried | what was seen |", "|---|---|---|"]
    for fault, row in summary["faults"].items():
        parts = [
            *row["what"],
            ", ".join(_format_figure(name, value) for name, value in row["figures"].items()),
        ]
        lines.append(f"| {fault} | {row['times']} | {'; '.join(filter(None, parts))} |")
    return "\n".join(lines)


def merge_summaries(summaries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One summary of several: tries are added, the worst of figures stays."""
    found: dict[str, Any] = {"faults": {}, "failed": [], "skipped": []}
    for summary in summaries:
        found["failed"] += summary["failed"]
        found["skipped"] += summary["skipped"]
        for fault, row in summary["faults"].items():
            into = found["faults"].setdefault(fault, {"times": 0, "what": {}, "figures": {}})
            into["times"] += row["times"]
            for what, times in row["what"].items():
                into["what"][what] = into["what"].get(what, 0) + times
            for name, value in row["figures"].items():
                into["figures"][name] = max(value, into["figures"].get(name, value))
    return found


def _format_figure(name: str, value: float) -> str:
    shown = str(int(value)) if value == int(value) else f"{value:.2f}".rstrip("0").rstrip(".")
    return _FIGURES.get(name, f"{name}: {{}}").format(shown)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("summaries", type=Path, nargs="+")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args(arguments)
    summary = merge_summaries([json.loads(path.read_text(encoding="utf-8")) for path in given.summaries])
    made = table(summary)
    print(made)  # whoever ran it wants to see it
    for kind in ("failed", "skipped"):
        for name in summary[kind]:
            print(f"{kind}: {name}", file=sys.stderr)
    if given.write:
        page = PAGE.read_text(encoding="utf-8")
        found = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
        if not found.search(page):
            raise SystemExit(f"{PAGE} has no place for the table")
        PAGE.write_text(found.sub(lambda _: f"{BEGIN}\n{made}\n{END}", page), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
