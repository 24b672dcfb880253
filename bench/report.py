"""Turns the samples into the tables of `bench/RESULTS.md`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from bench import answers, notes
from bench.machine import Cores
from bench.measure import Cell, Results
from bench.plan import Plan

_TITLES = {
    "upstream": "upstream alone",
    "litellm": "LiteLLM",
    "gateway": "gateway",
    "guarded": "gateway, guardrails on",
}
_SHAPES = {
    "json": "`/v1` JSON",
    "stream": "`/v1` streamed, 100 chunks",
    "turn": "`/api/chat/` persisted turn",
}
# Of LiteLLM's requests per second; the persisted turn is held against LiteLLM's JSON, which persists nothing.
_GOALS = {"json": 3.0, "stream": 3.0, "turn": 2.0}
_NONE = "–"
_MS, _US, _MIB = 1e3, 1e6, 1 / 2**20


def render(results: Results, plan: Plan, cores: Cores, machine: Mapping[str, str], command: str) -> str:
    """The whole page, in Markdown."""
    parts = [
        f"# Benchmarks\n\nWritten by `{command}` on {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC.",
        "Figures are medians of the rounds, with the least and the greatest in brackets.",
        _rates(results),
        _latencies(results),
        _cpu(results),
        _memory(results),
        _slow(results, plan),
        _failures(results),
        _machine(machine),
        notes.render(results, plan, cores),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table, figures to the right."""
    titles = list(head)
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *map(list, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _present(results: Results) -> list[str]:
    return [name for name in _TITLES if name in results.targets()]


def _spread(results: Results, cell: Cell, name: str, scale: float = 1.0) -> str:
    values = sorted(value * scale for value in results.values(cell, name))
    if not values:
        return _NONE
    if results.failures(cell):
        return "failed"
    middle = results.median(cell, name) or 0.0
    return f"{_short(middle * scale)} ({_short(values[0])}–{_short(values[-1])})"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _peer(shape: str, connections: int) -> Cell:
    return Cell("litellm", "json" if shape == "turn" else shape, connections)


def ratio(results: Results, target: str, shape: str, connections: int) -> float | None:
    """Requests per second over LiteLLM's in the same run; None where either is missing or has failed."""
    mine, theirs = Cell(target, shape, connections), _peer(shape, connections)
    ours, peers = results.median(mine, "rate"), results.median(theirs, "rate")
    if not ours or not peers or results.failures(mine) or results.failures(theirs):
        return None
    return ours / peers


def _rates(results: Results) -> str:
    present = _present(results)
    rows = []
    for shape, goal in _GOALS.items():
        for connections in (1, 16):
            row = [f"{_SHAPES[shape]}, {connections} connection{'s' if connections > 1 else ''}"]
            row += [_spread(results, Cell(name, shape, connections), "rate") for name in present]
            for name in ("gateway", "guarded"):
                found = ratio(results, name, shape, connections)
                row.append(f"**{found:.2f}×**" if found else _NONE)
            rows.append([*row, f"≥ {goal:.0f}×"])
    head = ["requests/s", *(_TITLES[name] for name in present)]
    head += ["gateway ÷ LiteLLM", "with guardrails ÷ LiteLLM", "goal, guardrails off"]
    note = "The persisted turn is held against LiteLLM's JSON answer, which is written nowhere."
    return f"## Requests per second\n\n{table(head, rows)}\n\n{note}"


def _latencies(results: Results) -> str:
    names = [name for name in _present(results) if name != "upstream"]
    rows = []
    for title, shape, figure in (
        ("JSON answer", "json", "latency"),
        ("first word of a stream", "stream", "first_word"),
        ("end of a stream", "stream", "latency"),
        ("persisted turn", "turn", "latency"),
    ):
        direct = results.median(Cell("upstream", "json" if shape == "turn" else shape, 1), figure) or 0.0
        row = [title, _short(direct * _MS)]
        for name in names:
            found = results.median(Cell(name, shape, 1), figure)
            row.append(_NONE if found is None else _short((found - direct) * _MS))
        rows.append(row)
    head = ["ms, 1 connection", "upstream alone", *(f"{_TITLES[name]}: added" for name in names)]
    return f"## Median latency added over calling the upstream directly\n\n{table(head, rows)}"


def _cpu(results: Results) -> str:
    names = [name for name in _present(results) if name != "upstream"]
    slow = {cell.target: cell for cell in results.samples if cell.shape == "slow"}
    rows = [
        [
            f"ms a request, {_SHAPES[shape]}",
            *(_spread(results, Cell(n, shape, 16), "cpu_per_request", _MS) for n in names),
        ]
        for shape in _GOALS
    ]
    stream = [Cell(name, "stream", 16) for name in names]
    paced = [slow.get(name, Cell(name, "slow", 0)) for name in names]
    rows += [
        [
            "µs a chunk, chunks as fast as they are taken",
            *(_spread(results, c, "cpu_per_chunk", _US) for c in stream),
        ],
        ["µs a chunk, slow streams", *(_spread(results, c, "cpu_per_chunk", _US) for c in paced)],
        [
            "events the client gets for 100 chunks",
            *(_spread(results, c, "events_per_answer") for c in stream),
        ],
    ]
    head = ["16 connections", *(_TITLES[name] for name in names)]
    return f"## Processor time of the server\n\n{table(head, rows)}"


def _memory(results: Results) -> str:
    names = [name for name in _present(results) if name != "upstream"]
    row = ["MiB"]
    for name in names:
        values = [
            s.resident for cell, samples in results.samples.items() if cell.target == name for s in samples
        ]
        row.append(f"{min(values) * _MIB:.0f} → {max(values) * _MIB:.0f}")
    note = "Resident memory of the server's processes, after the first cell and at its greatest."
    return f"## Memory\n\n{note}\n\n{table(['', *(_TITLES[name] for name in names)], [row])}"


def _slow(results: Results, plan: Plan) -> str:
    low, high = answers.SLOW_PAUSE_MS
    rows = []
    for cell, samples in results.samples.items():
        if cell.shape != "slow":
            continue
        taken = samples[-1]
        row = [_TITLES[cell.target], f"{taken.worst_gap * _MS:.0f}", f"{taken.worst_first_word * _MS:.0f}"]
        rows.append([*row, f"{taken.latency:.1f}", f"{taken.cpu:.1f}", str(taken.failures)])
    head = [
        "",
        "largest gap, ms",
        "latest first word, ms",
        "median stream, s",
        "processor time, s",
        "failures",
    ]
    text = (
        f"{plan.slow_streams} streams begun at the same moment, {answers.SLOW_TOKENS} tokens each, one every "
        f"{low:.0f}–{high:.0f} ms. The largest gap is the longest that any client waited between two tokens; "
        "the goal is less than 1000."
    )
    return f"## {plan.slow_streams} slow streams at once, on one core\n\n{text}\n\n{table(head, rows)}"


def _failures(results: Results) -> str:
    failed = [
        f"- {_TITLES[cell.target]}, {cell.shape} ×{cell.connections}: {sample.failures} failed, first: "
        f"`{sample.first_failure.replace('`', '')}`"
        for cell, samples in results.samples.items()
        for sample in samples
        if sample.failures
    ]
    return "## Failures\n\nA row with failures is not a result.\n\n" + "\n".join(failed) if failed else ""


def _machine(machine: Mapping[str, str]) -> str:
    return "## Machine\n\n" + "\n".join(f"- {name}: {value}" for name, value in machine.items())
