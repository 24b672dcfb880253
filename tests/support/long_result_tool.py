"""A tool that returns long results of tables, prose and Korean text."""

from __future__ import annotations

import json
import random

from gateway.tools.base import Tool, ToolArguments

_PROSE = "The harbour master keeps a record of every ship that passes, and of the tide on which it came. "
_KOREAN = "항구의 기록에는 지나가는 모든 배와 그날의 조수가 적혀 있습니다. "


class LongResultArguments(ToolArguments):
    page: int
    characters: int = 20_000


class LongResultTool(Tool[LongResultArguments]):
    """Reads a page of an archive that does not end."""

    name = "archive"
    description = "Reads a page of the archive."
    arguments = LongResultArguments

    async def run(self, arguments: LongResultArguments) -> str:
        chance = random.Random(arguments.page)
        rows = [
            {"ship": f"{chance.getrandbits(48):x}", "tide_m": round(chance.random() * 9, 2), "at": 10**9 + n}
            for n in range(400)
        ]
        kinds = (json.dumps(rows), _PROSE * 400, _KOREAN * 400)
        return (kinds[arguments.page % 3] * 4)[: arguments.characters]
