"""Find texts on which a regular expression takes more than linear time."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

_parser: Any = importlib.import_module("re._parser")
# What may follow a pumped part so that the whole does not match.
_ENDS = ("", "\x00", "!", "가", "\n", " ", "a", "\xa0\x00", "0가", '"')
_SAMPLES = 3
# Small steps first: an exponential pattern is recognised before it hangs.
_SMALL = (6, 10, 14, 18, 22, 26, 40, 80, 320)
_LARGE = (1280, 2560, 5120, 10240)
# CPU seconds. A pattern that is quadratic takes longer than the floor for the first large text, whatever the
# machine; above the ceiling no longer text is tried.
_FLOOR, _CEILING = 0.0004, 0.2


def compiled_patterns(package: ModuleType) -> dict[str, re.Pattern[Any]]:
    """Every compiled pattern of text that a module of `package` holds, also inside containers and objects."""
    found: dict[str, re.Pattern[Any]] = {}
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            origin = getattr(value, "__module__", info.name)
            if name.startswith("__") or (isinstance(value, type) and origin != info.name):
                continue
            for path, pattern in _inside(value, f"{info.name}.{name}", 0):
                if pattern not in found.values():
                    found[path] = pattern
    return found


def anchored_patterns(package: ModuleType) -> set[str]:
    """The names of patterns that the package's code only gives to `match` and `fullmatch`."""
    used: dict[str, set[str]] = {}
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        source = Path(str(importlib.import_module(info.name).__file__)).read_text("utf-8")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                used.setdefault(f"{info.name}.{node.value.id}", set()).add(node.attr)
    return {name for name, methods in used.items() if methods <= {"match", "fullmatch"}}


def _inside(value: Any, path: str, depth: int) -> Iterator[tuple[str, re.Pattern[Any]]]:
    if isinstance(value, re.Pattern):
        yield path, value
    elif depth > 4 or isinstance(value, ModuleType | str | bytes | int | float):
        return
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _inside(part, f"{path}[{key}]", depth + 1)
    elif isinstance(value, list | tuple | set | frozenset):
        for at, part in enumerate(value):
            yield from _inside(part, f"{path}[{at}]", depth + 1)
    elif type(value).__module__.startswith("gateway."):
        parts = {**getattr(value, "__dict__", {})}
        parts.update({slot: getattr(value, slot, None) for slot in getattr(type(value), "__slots__", ())})
        yield from _inside(parts, path, depth + 1)


def attack_strings(pattern: re.Pattern[Any], rng: random.Random) -> Iterator[tuple[str, str, str]]:
    """(beginning, part to be repeated, end) for each repetition of the pattern, and for the whole of it."""
    tree = _parser.parse(pattern.pattern, pattern.flags)
    seen: set[tuple[str, str, str]] = set()
    pumps = [*_pumps(tree, "", rng), *(("", _text(tree, rng, 1)) for _ in range(_SAMPLES))]
    # Repeated matches without their last character: a search starts again at each.
    pumps += [("", pump[:-1]) for _, pump in pumps if len(pump) > 1]
    for before, pump in pumps:
        for end in _ENDS:
            if pump and (attack := (before, pump, end)) not in seen:
                seen.add(attack)
                yield attack


def grows_faster_than_linear(
    pattern: re.Pattern[Any], attack: tuple[str, str, str], *, anchored: bool = False
) -> str:
    """A sentence where a text of double length takes about four times as long, else an empty text.

    `anchored`: the code matches this pattern at one place alone and never searches with it.
    """

    def seconds(length: int, times: int) -> float:
        text: Any = attack[0] + attack[1] * (1 + length // len(attack[1])) + attack[2]
        if isinstance(pattern.pattern, bytes):
            text = text.encode("latin-1", "replace")
        return min(_seconds(pattern, text, anchored=anchored) for _ in range(times))

    for length in _SMALL:
        if (spent := seconds(length, 1)) > _CEILING:
            return f"{length} characters took {spent:.3f} s of CPU: {attack!r}"
    if seconds(_LARGE[0], 1) < _FLOOR:
        return ""
    before = seconds(_LARGE[0], 3)
    grown = []
    for length in _LARGE[1:]:
        spent = seconds(length, 3)
        grown.append(spent / max(before, 1e-7))
        before = spent
        if spent > _CEILING:
            break
    # Linear is 2, quadratic is 4.
    if min(grown) > 2.9:
        return (
            f"doubling a text took {', '.join(f'{ratio:.1f}' for ratio in grown)} times as long: {attack!r}"
        )
    return ""


def _seconds(pattern: re.Pattern[Any], text: Any, *, anchored: bool) -> float:
    started = time.thread_time()
    if anchored:
        pattern.match(text)
        pattern.fullmatch(text)
    else:
        for _ in pattern.finditer(text):
            pass
    return time.thread_time() - started


def _pumps(tree: Any, before: str, rng: random.Random) -> Iterator[tuple[str, str]]:
    for kind, value in tree:
        match str(kind):
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                for _ in range(_SAMPLES):
                    yield before, _text(value[2], rng, 1)
                yield from _pumps(value[2], before, rng)
            case "SUBPATTERN":
                yield from _pumps(value[3], before, rng)
            case "ATOMIC_GROUP":
                yield from _pumps(value, before, rng)
            case "BRANCH":
                for branch in value[1]:
                    yield from _pumps(branch, before, rng)
            case "ASSERT" | "ASSERT_NOT":
                yield from _pumps(value[1], before, rng)
        before += _text([(kind, value)], rng, 1)


def _text(tree: Any, rng: random.Random, repeats: int) -> str:
    return "".join(_one(str(kind), value, rng, repeats) for kind, value in tree)


def _one(kind: str, value: Any, rng: random.Random, repeats: int) -> str:
    match kind:
        case "LITERAL":
            return chr(value)
        case "NOT_LITERAL":
            return "b" if chr(value) == "a" else "a"
        case "ANY":
            return rng.choice("a .-")
        case "IN":
            return _member(value, rng)
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            low, high, inner = value
            times = min(int(high), max(int(low), repeats), 60)
            return "".join(_text(inner, rng, repeats) for _ in range(times))
        case "SUBPATTERN":
            return _text(value[3], rng, repeats)
        case "ATOMIC_GROUP":
            return _text(value, rng, repeats)
        case "BRANCH":
            return _text(rng.choice(value[1]), rng, repeats)
        case "ASSERT":
            return _text(value[1], rng, repeats) if value[0] == 1 else ""
    return ""


_CATEGORIES = {
    "CATEGORY_DIGIT": "07",
    "CATEGORY_WORD": "a_0가",
    "CATEGORY_SPACE": " \n\t\xa0",
    "CATEGORY_NOT_DIGIT": "a ",
    "CATEGORY_NOT_WORD": " .-",
    "CATEGORY_NOT_SPACE": "a.0",
}


def _member(parts: Any, rng: random.Random) -> str:
    found: list[str] = []
    for kind, value in parts:
        match str(kind):
            case "LITERAL":
                found.append(chr(value))
            case "RANGE":
                found += [chr(value[0]), chr(value[1])]
            case "CATEGORY":
                found += _CATEGORIES.get(str(value), "a")
    if parts and str(parts[0][0]) == "NEGATE":
        found = [char for char in "ab0 .-\n가" if char not in found] or ["\x01"]
    return rng.choice(found)
