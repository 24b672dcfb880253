"""Runs the product detail flow against a gateway: brand → brief → structure → copy → main image → review.

    GATEWAY_API_KEY=gw_… python scripts/run_p0_product_detail_flow.py --output page.json

Writes one JSON file after every agent, so that what was done is there also where a later one fails.
`GENERATOR_MODE=mock` (or `--mode mock`) asks no model.
"""

# ruff: noqa: T201  a script that tells what it does
from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from examples.product_detail.flow import AgentFailed
from examples.product_detail.page import Page, six_agents
from gateway.client import AsyncLLMGatewayClient, AsyncMediaGatewayClient

_SAMPLE = Path(__file__).resolve().parent.parent / "examples" / "product_detail" / "product.json"
_MODES = ("live", "mock", "final")
_BAR = 24


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base-url", default=os.environ.get("GATEWAY_URL", "http://127.0.0.1:8000"))
    parser.add_argument("--api-key", default=os.environ.get("GATEWAY_API_KEY"))
    parser.add_argument("--product", type=Path, default=_SAMPLE, help="JSON: {product, notes?}")
    parser.add_argument("--output", type=Path, default=Path("product_detail.json"))
    parser.add_argument("--mode", choices=_MODES, default=os.environ.get("GENERATOR_MODE") or None)
    parser.add_argument("--image-model", help="an image model of the gateway; in mock mode its mock")
    parsed = parser.parse_args(given)
    if not parsed.api_key:
        parser.error("--api-key or GATEWAY_API_KEY is needed")
    if parsed.mode not in (None, *_MODES):
        parser.error(f"GENERATOR_MODE is one of {', '.join(_MODES)}")
    return parsed


async def main(given: Sequence[str] | None = None) -> int:
    """0 where all six agents have done their part, else 1."""
    asked = arguments(given)
    start = json.loads(asked.product.read_text(encoding="utf-8"))
    image: dict[str, Any] = {"width": 1024, "height": 1024}
    if asked.image_model:
        image["model"] = asked.image_model
    elif asked.mode == "mock":
        image["provider"] = "mock"
    async with (
        AsyncLLMGatewayClient(asked.base_url, api_key=asked.api_key) as llm,
        AsyncMediaGatewayClient(asked.base_url, api_key=asked.api_key) as media,
    ):
        agents = six_agents(llm, media, asked.mode, **image)
        names = [*(agent.name for agent in agents), "done"]
        page = Page(asked.output, start, asked.mode, lambda done: show(done, len(agents), names[done]))
        show(0, len(agents), names[0])
        try:
            await page.make(agents, media, asked.base_url)
        except AgentFailed as failure:
            print(f"\n{failure.agent} failed: {failure.__cause__}\nWhat was done is in {asked.output}.")
            return 1
    picture = page.report["results"]["image"]
    print(f"\n{asked.output}: six results; the picture is {picture['address']}, and beside it as a file.")
    return 0


def show(done: int, of: int, now: str) -> None:
    filled = _BAR * done // of
    bar = "█" * filled + "·" * (_BAR - filled)
    end = "" if sys.stdout.isatty() else "\n"
    print(f"\r{bar} {done}/{of} {now:<22}", end=end, flush=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
