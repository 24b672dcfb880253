"""Token bounds compared with real tokenizers."""

from __future__ import annotations

import inspect
import json
import random
from pathlib import Path

import pytest

from gateway.domain import money
from gateway.domain.token_estimates import estimate_max_tokens, max_tokens_by_bytes
from gateway.repositories.turns import statements as turn_sql
from tests.support.paths import PROJECT
from tests.support.tokenizers import count, llama2, smollm2

_CHANCE = random.Random(7)
_ROWS = [
    {
        "id": f"{_CHANCE.getrandbits(64):016x}",
        "title": "How do the tides follow the moon?",
        "price": round(_CHANCE.random() * 1000, 2),
        "created_at": f"2024-0{_CHANCE.randint(1, 9)}-14T10:30:{_CHANCE.randint(10, 59)}Z",
        "tags": ["sea", "sky"],
        "ok": True,
    }
    for _ in range(40)
]
_KOREAN = (
    "대한민국의 수도는 서울이며, 한강이 도시 한가운데를 흐른다. "
    "조선 시대부터 수도였던 이 도시는 오늘날 인구 약 940만 명이 사는 거대한 도시로 성장했다. "
    "먼저 설정 파일을 열어 제공자의 주소와 키를 확인해야 합니다. "
    "그다음에 서버를 다시 시작하고 로그를 살펴보십시오. 오늘 날씨가 참 좋네요! "
    "회의는 오후 3시 30분에 시작해서 5시쯤 끝날 예정이니까 그 전에 자료를 준비해 주세요. "
)
_HERE = Path(__file__)
TEXTS = {
    "english": (PROJECT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")[:6000],
    "code": _HERE.read_text(encoding="utf-8").split("_KOREAN =")[0] + inspect.getsource(money),
    "sql": inspect.getsource(turn_sql),
    "json": json.dumps(_ROWS, separators=(",", ":")),
    "indented json": json.dumps(_ROWS, indent=2),
    "korean": _KOREAN * 3,
    "korean json": json.dumps([{"제목": _KOREAN, "번호": at} for at in range(3)], ensure_ascii=False),
    "korean and english": "\n".join(f"{_KOREAN} {row['title']}" for row in _ROWS[:4]),
    "chinese": "人工智能是计算机科学的一个分支，它企图了解智能的实质，并生产出一种新的智能机器。" * 5,
    "japanese": "名前はまだ無い。どこで生れたかとんと見当がつかぬ。泣いていた事だけは記憶している。" * 5,
    "german": "Sie zu achten und zu schützen ist Verpflichtung aller. Überprüfen Sie die Größe der Fläche. "
    * 4,
    "russian": "Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива. " * 4,
    "numbers": "\n".join(",".join(str(_CHANCE.randint(0, 99999)) for _ in range(8)) for _ in range(40)),
    "hexadecimal": _CHANCE.randbytes(800).hex(),
    "log": "\n".join(
        f"2024-05-1{at % 10}T10:00:01.{_CHANCE.randint(100, 999)}Z INFO GET "
        f"/items/{_CHANCE.randint(1, 9999)} 200 {at}ms id=req_{_CHANCE.getrandbits(64):x}"
        for at in range(40)
    ),
    "markup": '<div class="row"><a href="https://example.com/x/%d">Link</a><br/></div>\n' * 40,
}


@pytest.mark.parametrize("name", TEXTS)
def test_the_bound_is_rarely_exceeded_and_by_at_most_ten_percent(name: str) -> None:
    text = TEXTS[name]
    bound = estimate_max_tokens(text)
    for tokenizer in (llama2(), smollm2()):
        assert bound >= 0.9 * count(tokenizer, text)


@pytest.mark.parametrize("name", ["english", "code", "sql", "json", "indented json", "numbers", "korean"])
def test_the_bound_is_close_to_the_least_economical_tokenizer(name: str) -> None:
    text = TEXTS[name]
    assert estimate_max_tokens(text) <= 1.35 * max(count(llama2(), text), count(smollm2(), text))


@pytest.mark.parametrize("name", TEXTS)
def test_no_text_has_more_tokens_than_bytes(name: str) -> None:
    text = TEXTS[name]
    assert max(count(llama2(), text) - 1, count(smollm2(), text)) <= max_tokens_by_bytes(text)


def test_empty_text_and_lone_surrogates() -> None:
    assert estimate_max_tokens("") == 0
    assert estimate_max_tokens("\ud800") > 0
    assert estimate_max_tokens("a") == 1
