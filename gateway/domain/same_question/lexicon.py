"""Words that decide whether two questions can be the same, in English and Korean."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


STOP = _words(
    "a an the is are was were be been being am do does did doing done have has had having i you he she it we "
    "they me him her us them my your his its our their mine yours this that these those there here of in on at "
    "by for with about as to from into onto and or but so if then than because while can could should would "
    "will shall may might must what which who whom whose when where why how s t re ve ll d m o any some all "
    "much many more most very just also too really actually exactly please tell someone anyone one ones get "
    "gets got give know explain describe need want like would up out"
)
NEGATIONS = _words(
    "not no never none nobody nothing nowhere neither nor without cannot cant dont doesnt didnt isnt arent "
    "wasnt werent wont wouldnt shouldnt couldnt havent hasnt hadnt aint except unless lack hardly barely avoid "
    "stop prevent"
)
KOREAN_NEGATIONS = ("안", "못")
KOREAN_NEGATIVE_PARTS = ("않", "없", "아니", "아닌", "말아", "말고", "못하", "지마", "마세요", "제외", "금지")

NUMBERS: dict[str, str] = {
    word: str(value)
    for value, word in enumerate(
        [
            "zero",
            "_",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
            "twenty",
        ]
    )
    if word != "_"
}
NUMBERS |= {
    word: str(value)
    for value, word in zip(
        range(30, 100, 10), ["thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], strict=True
    )
}
NUMBERS |= {"hundred": "100", "thousand": "1000", "million": "1000000", "billion": "1000000000"}
NUMBERS |= {"half": "0.5", "quarter": "0.25", "dozen": "12", "double": "2", "twice": "2", "triple": "3"}
NUMBERS |= {
    word: f"{value}th"
    for value, word in enumerate(
        ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"],
        start=1,
    )
}
NUMBERS |= dict(
    zip(
        ["하나", "둘", "셋", "넷", "다섯", "여섯", "일곱", "여덟", "아홉", "열"],
        map(str, range(1, 11)),
        strict=True,
    )
)
NUMBERS |= dict(
    zip(
        ["두", "세", "네", "백", "천", "만", "억"],
        ("2", "3", "4", "100", "1000", "10000", "100000000"),
        strict=True,
    )
)

# Words of one class are never one another's synonyms, and whichever is there has to be in both questions.
CLASSES: tuple[frozenset[str], ...] = tuple(
    map(
        _words,
        (
            "monday tuesday wednesday thursday friday saturday sunday weekday weekend mon tue wed thu fri sat "
            "sun 월요일 화요일 수요일 목요일 금요일 토요일 일요일 주말 평일",
            "january february march april june july august september october november december jan feb mar "
            "apr jun jul aug sep sept oct nov dec",
            "today yesterday tomorrow tonight 오늘 어제 내일 모레 그제 어젯밤 오늘밤",
            "morning noon afternoon evening night midnight 아침 점심 저녁 새벽 오전 오후 밤 정오 자정",
            "second seconds minute minutes hour hours day days week weeks month months year years decade decades "
            "century centuries daily weekly monthly yearly hourly annually quarterly 초 분 시간 일 주 달 년 "
            "매일 매주 매달 매년 하루 일주일 한달 일년",
            "spring summer autumn fall winter 봄 여름 가을 겨울",
            "easter christmas thanksgiving ramadan diwali halloween 설날 추석 성탄절 크리스마스",
            "north south east west northern southern eastern western 북쪽 남쪽 동쪽 서쪽 북한 남한",
            "red blue green yellow black white orange purple pink brown grey gray 빨간색 파란색 초록색 노란색",
            "kilometer kilometers kilometre kilometres km mile miles meter meters metre metres foot feet inch "
            "inches yard yards centimeter centimeters centimetre cm mm millimeter millimeters 킬로미터 미터 마일",
            "kilogram kilograms kg gram grams pound pounds lbs lb ounce ounces ton tons tonne tonnes 그램 킬로그램",
            "celsius fahrenheit kelvin 섭씨 화씨",
            "liter liters litre litres gallon gallons pint pints cup cups teaspoon teaspoons tablespoon "
            "tablespoons 리터",
            "dollar dollars euro euros yen won yuan rupee rupees usd eur gbp jpy krw inr franc francs peso pesos "
            "달러 유로 엔 원 위안",
            "byte bytes bit bits kb mb gb tb kilobyte megabyte gigabyte terabyte kilobytes megabytes gigabytes",
            "man woman men women boy girl boys girls male female mother father brother sister husband wife son "
            "daughter uncle aunt boyfriend girlfriend king queen 남자 여자 남성 여성 어머니 아버지 엄마 아빠 형 "
            "누나 오빠 언니 남편 아내 아들 딸",
            "python java javascript typescript rust golang kotlin swift php ruby perl scala haskell csharp matlab "
            "파이썬 자바 자바스크립트 러스트 코틀린",
            "english korean japanese chinese french german spanish italian russian arabic hindi portuguese dutch "
            "turkish polish latin greek hebrew swedish 영어 한국어 일본어 중국어 프랑스어 독일어 스페인어",
            "bachelor bachelors master masters phd doctorate undergraduate graduate postgraduate",
            "mercury venus earth mars jupiter saturn uranus neptune pluto moon 수성 금성 지구 화성 목성 토성",
        ),
    )
)
# One of a pair in one question and the other in the other one turns it around.
_OPPOSITES = (
    "more less/most least/best worst/better worse/good bad/large small/larger smaller/largest smallest/"
    "big little/bigger smaller/biggest smallest/high low/higher lower/highest lowest/long short/longer shorter/"
    "longest shortest/fast slow/faster slower/fastest slowest/early late/earlier later/earliest latest/"
    "old new/older newer/oldest newest/older younger/oldest youngest/old young/hot cold/warm cool/hard easy/"
    "hard soft/difficult easy/heavy light/strong weak/rich poor/cheap expensive/cheapest expensive/"
    "first last/before after/above below/over under/inside outside/indoor outdoor/in out/on off/up down/"
    "increase decrease/increase reduce/raise lower/raise reduce/gain lose/gain reduce/win lose/buy sell/"
    "lend borrow/give take/send receive/push pull/open close/start stop/start end/begin end/start finish/"
    "enable disable/install uninstall/install remove/add remove/add subtract/add delete/create delete/"
    "create destroy/lock unlock/connect disconnect/encrypt decrypt/encode decode/import export/upload download/"
    "upgrade downgrade/show hide/allow block/allow forbid/allow deny/accept reject/love hate/like hate/"
    "safe dangerous/legal illegal/true false/right wrong/possible impossible/positive negative/"
    "advantage disadvantage/pros cons/benefit risk/benefit drawback/benefit disadvantage/strength weakness/"
    "profit loss/success failure/cause cure/cause prevent/cause treat/cause symptom/cause effect/"
    "maximum minimum/max min/maximize minimize/with without/public private/internal external/"
    "import export/input output/front back/top bottom/left right/male female/men women/day night/alive dead/"
    "hire fire/arrive leave/arrival departure/arrive depart/enter exit/enter leave/remember forget/"
    "freeze melt/boil freeze/sunrise sunset/rise set/rise fall/expand shrink/wet dry/full empty/"
    "local global/remote local/online offline/single married/single double/single multiple/always never/"
    "credit debit/asset liability/supply demand/question answer/quit join/join leave/follow unfollow/"
    "subscribe unsubscribe/ascending descending/even odd/active passive/same different/"
    "similarity difference/compress decompress/mount unmount/forward backward/thin thick/wide narrow/"
    "deep shallow/loud quiet/clean dirty/visible hidden/odd even/sweet sour/fresh stale/tall short/"
    "taller shorter/tallest shortest/near far/nearest farthest/closest farthest/begin finish/save delete/"
    "save spend/lose find/pass fail/attack defend/agree disagree/guilty innocent/"
    "켜다 끄다/켜는 끄는/켜 꺼/열다 닫다/여는 닫는/사는 파는/늘리는 줄이는/올리는 내리는/설치 삭제/설치 제거/추가 삭제/추가 제거/"
    "가장 덜/장점 단점/높은 낮은/큰 작은/긴 짧은/빠른 느린/좋은 나쁜/최대 최소/최고 최저/최고 최악/첫 마지막/전 후/이전 이후/"
    "증가 감소/시작 종료/시작 끝/입력 출력/수출 수입/수입 지출/합법 불법/안전한 위험한/쉬운 어려운/오래된 새로운/업로드 다운로드/"
    "많은 적은/많이 적게/더 덜/밝은 어두운/뜨거운 차가운/무거운 가벼운/비싼 싼/남자 여자/왼쪽 오른쪽/찬성 반대/원인 결과/원인 증상"
)
OPPOSITES: frozenset[tuple[str, str]] = frozenset(
    pair
    for entry in _OPPOSITES.split("/")
    for one, other in [entry.split()]
    for pair in ((one, other), (other, one))
)
# Around one of these, what stands left and right may not change places.
TURNING = _words("to than from into before after over under versus vs against behind by for")
# The kinds of an answer: a question for one is none for another.
KINDS: dict[str, str] = {
    "who": "person",
    "whom": "person",
    "whose": "person",
    "when": "time",
    "where": "place",
    "why": "reason",
    "누가": "person",
    "누구": "person",
    "언제": "time",
    "어디": "place",
    "왜": "reason",
    "얼마": "amount",
    "몇": "amount",
}
# What a Korean word may end with without being another one, longest first.
KOREAN_ENDINGS = [
    "이란무엇인가요",
    "입니까",
    "인가요",
    "이에요",
    "예요",
    "에서는",
    "으로는",
    "에게서",
    "에서",
    "에는",
    "에게",
    "한테",
    "으로",
    "까지",
    "부터",
    "처럼",
    "보다",
    "이랑",
    "하고",
    "이란",
    "란",
    "은",
    "는",
    "이",
    "가",
    "을",
    "를",
    "의",
    "에",
    "로",
    "와",
    "과",
    "도",
    "만",
    "랑",
    "요",
    "야",
]
KOREAN_HARMLESS = _words(
    "뭐 뭔 무엇 무엇인 무엇일까 뭘까 뭐지 알려줘 알려 알려주세요 주세요 줘 설명해줘 설명해 설명 말해줘 궁금해 궁금합니다 "
    "어떻게 어떤 방법 되나 되나요 되 하나 하나요 할까 하나요 있나 있나요 있 것 거 게 좀 그 저 나 내 수 어때 "
    "알고싶어 싶어 가르쳐줘 가르쳐 주실래 될까 됩니까 합니까 인가 이름 건가 건지 인지"
)
