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
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from examples.product_detail.agents import (
    BrandAgent,
    BriefAgent,
    CopywriterAgent,
    ReviewerAgent,
    RoleAgent,
    StrategistAgent,
    VisionGeneratorAgent,
)
from examples.product_detail.flow import AgentFailed, run_flow
from gateway.client import AsyncLLMGatewayClient, AsyncMediaGatewayClient

_SAMPLE = Path(__file__).resolve().parent.parent / "examples" / "product_detail" / "product.json"
_BAR = 24


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base-url", default=os.environ.get("GATEWAY_URL", "http://127.0.0.1:8000"))
    parser.add_argument("--api-key", default=os.environ.get("GATEWAY_API_KEY"))
    parser.add_argument("--product", type=Path, default=_SAMPLE, help="JSON: {product, notes?}")
    parser.add_argument("--output", type=Path, default=Path("product_detail.json"))
    parser.add_argument("--mode", choices=("live", "mock", "final"), default=os.environ.get("GENERATOR_MODE"))
    parser.add_argument("--image-model", help="an image model of the gateway; in mock mode its mock")
    given = parser.parse_args()
    if not given.api_key:
        parser.error("--api-key or GATEWAY_API_KEY is needed")
    return given


async def main() -> int:
    given = arguments()
    start = json.loads(given.product.read_text(encoding="utf-8"))
    report: dict[str, Any] = {"input": start, "mode": given.mode or "live", "results": {}, "seconds": {}}
    image: dict[str, Any] = {"width": 1024, "height": 1024}
    if given.image_model:
        image["model"] = given.image_model
    elif given.mode == "mock":
        image["provider"] = "mock"
    async with (
        AsyncLLMGatewayClient(given.base_url, api_key=given.api_key) as llm,
        AsyncMediaGatewayClient(given.base_url, api_key=given.api_key) as media,
    ):
        agents: list[RoleAgent] = [
            BrandAgent(llm, given.mode),
            BriefAgent(llm, given.mode),
            StrategistAgent(llm, given.mode),
            CopywriterAgent(llm, given.mode),
            VisionGeneratorAgent(llm, media, given.mode, **image),
            ReviewerAgent(llm, given.mode),
        ]
        began = step = time.perf_counter()
        show(0, len(agents), agents[0].name)
        try:
            async for name, added in run_flow(agents, start):
                report["results"] |= added
                report["seconds"][name] = round(time.perf_counter() - step, 2)
                step = time.perf_counter()
                write(given.output, report)
                done = len(report["seconds"])
                show(done, len(agents), agents[done].name if done < len(agents) else "done")
        except AgentFailed as failure:
            report["failed"] = {"agent": failure.agent, "error": str(failure.__cause__)}
            write(given.output, report)
            print(f"\n{failure.agent} failed: {failure.__cause__}. What was done is in {given.output}.")
            return 1
        picture = report["results"]["image"]
        content = await media.fetch(picture["url"])
        file = given.output.with_suffix(f".{picture['content_type'].partition('/')[2]}")
        file.write_bytes(content)
        picture["address"] = given.base_url.rstrip("/") + picture["url"]
        picture["file"] = str(file)
    report["seconds"]["total"] = round(time.perf_counter() - began, 2)
    write(given.output, report)
    print(
        f"\n{given.output}: six results; the picture is {picture['address']} ({file}, {len(content)} bytes)."
    )
    return 0


def write(path: Path, report: dict[str, Any]) -> None:
    """The file is whole at every moment: written beside its place, then moved."""
    half = path.with_name(f".{path.name}.half")
    half.write_text(json.dumps(report, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    half.replace(path)


def show(done: int, of: int, now: str) -> None:
    filled = _BAR * done // of
    bar = "█" * filled + "·" * (_BAR - filled)
    end = "" if sys.stdout.isatty() else "\n"
    print(f"\r{bar} {done}/{of} {now:<22}", end=end, flush=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
