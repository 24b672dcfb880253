"""Run the product detail flow against a gateway: brand → brief → structure → copy → main image → review.

    GATEWAY_API_KEY=gw_… python scripts/run_p0_product_detail_flow.py --output page.json

The JSON file is written after every agent, so that earlier results are saved if a later agent fails.
`GENERATOR_MODE=mock` (or `--mode mock`) calls no model.
"""

# ruff: noqa: T201  this script prints its progress
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
_BAR_WIDTH = 24


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base-url", default=os.environ.get("GATEWAY_URL", "http://127.0.0.1:8000"))
    parser.add_argument("--api-key", default=os.environ.get("GATEWAY_API_KEY"))
    parser.add_argument("--product", type=Path, default=_SAMPLE, help="JSON: {product, notes?}")
    parser.add_argument("--output", type=Path, default=Path("product_detail.json"))
    parser.add_argument("--mode", choices=_MODES, default=os.environ.get("GENERATOR_MODE") or None)
    parser.add_argument("--image-model", help="an image model of the gateway; in mock mode its mock")
    parsed = parser.parse_args(argv)
    if not parsed.api_key:
        parser.error("set --api-key or GATEWAY_API_KEY")
    if parsed.mode not in (None, *_MODES):
        parser.error(f"GENERATOR_MODE must be one of {', '.join(_MODES)}")
    return parsed


async def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 if all six agents succeeded, else 1."""
    options = parse_arguments(argv)
    start = json.loads(options.product.read_text(encoding="utf-8"))
    image: dict[str, Any] = {"width": 1024, "height": 1024}
    if options.image_model:
        image["model"] = options.image_model
    elif options.mode == "mock":
        image["provider"] = "mock"
    async with (
        AsyncLLMGatewayClient(options.base_url, api_key=options.api_key) as llm,
        AsyncMediaGatewayClient(options.base_url, api_key=options.api_key) as media,
    ):
        agents = six_agents(llm, media, options.mode, **image)
        names = [*(agent.name for agent in agents), "done"]
        page = Page(
            options.output, start, options.mode, lambda done: show_progress(done, len(agents), names[done])
        )
        show_progress(0, len(agents), names[0])
        try:
            await page.run(agents, media, options.base_url)
        except AgentFailed as failure:
            print(
                f"\n{failure.agent} failed: {failure.__cause__}\nThe earlier results are in {options.output}."
            )
            return 1
    image_result = page.report["results"]["image"]
    print(f"\n{options.output}: six results; image at {image_result['address']}, saved next to the file.")
    return 0


def show_progress(done: int, total: int, current: str) -> None:
    filled = _BAR_WIDTH * done // total
    bar = "█" * filled + "·" * (_BAR_WIDTH - filled)
    end = "" if sys.stdout.isatty() else "\n"
    print(f"\r{bar} {done}/{total} {current:<22}", end=end, flush=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
