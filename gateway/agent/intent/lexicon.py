"""English and Korean words that hint at an intent, by group."""

from __future__ import annotations

GROUPS = (
    "greeting",
    "wh",
    "code",
    "math",
    "fresh",
    "creative",
    "transform",
    "hard",
    "proof",
    "reason",
    "not_",
    "danger",
)

_ENGLISH = {
    "greeting": "hi hello hey thanks thank bye morning night welcome lol haha yes yeah ok okay sorry please "
    "cool nice you're you feel lonely bored",
    "wh": "what why how who when where which whose explain difference meaning mean",
    "code": "code python javascript typescript java rust golang kotlin swift php ruby sql html css bash "
    "shell script function class method api json yaml regex git commit docker kubernetes compile compiler "
    "debug bug exception traceback stacktrace unittest pytest refactor async thread mutex endpoint "
    "database query index react django flask fastapi node npm linux nginx algorithm implement array "
    "string variable loop pointer nullpointerexception typeerror segfault postgresql dockerfile",
    "math": "calculate compute solve equation integral derivative sum product percent percentage probability "
    "sqrt root square cube multiply divided plus minus area volume radius triangle matrix polynomial "
    "convert average median interest prime factorial logarithm modulo evaluate fraction",
    "fresh": "today tonight yesterday tomorrow now current currently latest newest recent recently news "
    "weather forecast price stock exchange score search google lookup website nearby near live week "
    "weekend month month's year's update updates released release bitcoin",
    "creative": "poem story haiku sonnet lyrics song novel slogan tagline blog essay letter toast joke rap "
    "dialogue screenplay brainstorm invent imagine campaign names advert draft fairy bedtime",
    "transform": "translate translation summarise summarize summary rewrite rephrase paraphrase proofread "
    "shorten shorter grammar spelling correct extract classify convert bullet formal simplify",
    "hard": "design architecture optimise optimize implement analyse analyze critically assess evaluate "
    "distributed concurrent complexity asymptotic refactor migrate trade-offs tradeoffs rigorous formally "
    "generalise generalize counterexample diagnosis security vulnerability vulnerabilities race-condition "
    "review differential equilibrium hypothesis consensus doctrine statute liability deadlock in-depth "
    "thoroughly comprehensive",
    "proof": "prove proof proofs theorem lemma derive corollary irrational",
    "reason": "step steps because therefore compare contrast discuss argue justify explain reasons evidence "
    "implications advantages pros cons strategy plan why if then suppose assume given show",
    "not_": "not except least never cannot isn't doesn't without none neither",
    "danger": "bomb bombs explosive explosives explosion kill murder poison hack hacking malware "
    "ransomware virus steal stealing forge counterfeit weapon weapons gun meth methamphetamine cocaine "
    "heroin drugs phishing stalk assassinate kidnap terrorist terrorism attack violence violent suicide "
    "fraud launder racist slur harass blackmail illegal undetected unnoticed caught fake identity theft "
    "keylogger ddos",
}
# Korean words carry endings, so these are searched for anywhere in the text.
_KOREAN = {
    "greeting": "안녕 고마 감사합니다 반가 잘자 ㅋㅋ ㅎㅎ 심심 외로 기분 힘들",
    "wh": "무엇 뭐야 왜 어떻게 누구 언제 어디 얼마 차이 알려 설명 뜻이",
    "code": "파이썬 자바 코드 함수 쿼리 리액트 도커 깃에 깃허브 컴파일 디버그 버그 배열 클래스 알고리즘 구현 "
    "서버 데이터베이스 API SQL 스크립트 컴포넌트 예외",
    "math": "곱하 더하 나누 빼기 퍼센트 방정식 미분 적분 넓이 확률 제곱 계산 루트 행렬 소수 증명",
    "fresh": "오늘 지금 어제 내일 현재 최신 최근 요즘 뉴스 날씨 환율 주가 검색 근처 이번주 실시간 시세",
    "creative": "시를 이야기 소설 가사 노래 광고 슬로건 지어줘 카드 블로그 자기소개서 캠페인 기획 동화 농담",
    "transform": "번역 요약 고쳐 다시 맞춤법 다듬 정리해 뽑아 바꿔 교정",
    "hard": "설계 분석 비판 최적화 분산 동시성 논증 아키텍처 유도 도출 장애 정리",
    "proof": "증명 정리를 유도하",
    "reason": "단계별 비교 논하 논증 근거 장단점 전략 계획 이유 예시 따라서 왜냐 설명",
    "not_": "않 아닌 못 제외 없이",
    "danger": "폭탄 폭발 마약 독살 살인 해킹 악성 랜섬 위조 총기 몰래 훔치 들키 추적 "
    "납치 테러 선동 폭력 불법 협박 자살",
}

ENGLISH: dict[str, tuple[int, ...]] = {}
for _index, _group in enumerate(GROUPS):
    for _word in _ENGLISH[_group].split():
        ENGLISH[_word] = (*ENGLISH.get(_word, ()), _index)
KOREAN: tuple[tuple[str, int], ...] = tuple(
    (stem, index) for index, group in enumerate(GROUPS) for stem in _KOREAN[group].split()
)
