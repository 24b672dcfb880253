"""Concepts of attacks and of harmless talk about them, as patterns."""

from __future__ import annotations

import re

# Applied to lower-cased text. Each concept covers English, German and Korean, and the most significant ones
# also Spanish, French, Chinese, Japanese and Russian.
_CONCEPTS: dict[str, str] = {
    "override": (
        r"\b(?:ignor(?:e|es|ing|a|ez|er)|disregard\w*|forget|bypass\w*|overrid\w+|overrul\w+|discard"
        r"|neglect|erase|(?:do not|don't|never|stop|no longer) (?:follow|obey|listen|pay attention"
        r"|care)\w*|set aside|abandon)\b|\bignorier\w*|\bvergiss\b|\bvergessen sie\b|missacht|verwirf"
        r"|verwerfen sie|außer acht|überschreib|hinfällig|irrelevant|(?:nicht mehr|beachte\w*"
        r"|befolge\w*) (?:nicht|beachten|befolgen)|무시|잊어|잊고|잊으|따르지 ?(?:마|말|않)|듣지 ?마"
        r"|신경 ?쓰지 ?마|우회|해제|덮어|취소|까먹|됐고|효력|무효|철회|어기|어겨|끄고|꺼\b|필요 ?없"
        r"|\bolvid[ae]|\bdescarta|\boublie[rz]?\b|忽略|无视|無視|忘记|忘掉|忘れ|игнорир|забуд"
    ),
    "rules": (
        r"\b(?:instruct(?:ion|ions|ed)|prompts?|rules?|guidelines?|directions?|directives?|commands?"
        r"|orders?|restrictions?|polic(?:y|ies)|programming|protocols?|constraints?|assignments?"
        r"|limitations?)\b|anweisung|anordnung|instruktion|\bregeln?\b|vorgabe|befehl|richtlinie"
        r"|beschränkung|aufforderung|지시|명령|규칙|지침|프롬프트|제한|정책|제약|가이드라인|instruc|reglas"
        r"|consignes|règles|指令|指示|规则|命令|инструкц|правил"
    ),
    "all_before": (
        r"\b(?:previous\w*|prior|above|earlier|preceding|foregoing|so far|initial|original|everything"
        r"|all that|(?:told|said|given|wrote|been told) before|until now|up to now|the past)\b|\bvorherig"
        r"|\bbisherig|\bobige|\boben\b|\bfrühere|vorangegang|\bzuvor\b|\bdavor\b|ursprünglich|\balles\b"
        r"|\bbisher\b|이전|앞의|앞에서|앞서|위의|위에|지금까지|기존|원래|처음에|방금|anterior|précédent"
        r"|之前|以上|以前|これまで|предыдущ"
    ),
    "from_now": (
        r"\b(?:from now on|starting now|henceforth|from this (?:point|moment)|new (?:instructions?|task"
        r"|rules?|role|orders?|persona)|now (?:you|your|i want|act|start|let's)|instead)\b|\bab (?:jetzt"
        r"|sofort)\b|von nun an|neue[nrs]? (?:anweisung|aufgabe|regel|rolle)|stattdessen|\bjetzt (?:bist"
        r"|sind)\b|지금부터|이제부터|앞으로는|새로운 (?:지시|명령|규칙|역할)|새 (?:지시|명령|규칙)"
        r"|대신에?\b|이제 (?:너|당신|넌)|a partir de ahora|désormais|à partir de maintenant|从现在"
        r"|これから|теперь ты|с этого момента"
    ),
    "persona": (
        r"\b(?:you are (?!right|welcome|given|very|so |great|correct|wrong|playing|free to|able|ready"
        r"|done)|you're now|you will (?:be|act|play|pretend|become)|act(?:ing)? (?:as|like)|pretend\w*"
        r"|imagine (?:you|that you|yourself|being)|role-?play\w*|(?:role|character|persona) of|simulat\w+"
        r"|as if you|play the|take on the|stay in character|in character|respond as|speak as|embody"
        r"|impersonat\w+)\b|\bdu bist\b|\bsie sind (?:jetzt|nun|ein|eine|kein)|\bals\b.{2,60}\b(?:fungier"
        r"|agier|auftret|auftritt)|\bsei (?:mein|ein)|versetze? (?:dich|sie sich)|\btu(?:n sie)? so\b"
        r"|stell\w* (?:dir|sie sich) vor|verhalte|\b(?:handle|agiere|fungiere|antworte) (?:wie|als)"
        r"|schlüpf|in die rolle|rollenspiel|\bspiel(?:e|en sie)? (?:die rolle|einen|eine|den|die)|(?:너는"
        r"|넌|당신은|네가|그대는) (?:이제|지금|더 이상|아무)|인 ?척|하는 ?척|처럼 (?:행동|말|대답|굴)|역할"
        r"|라고 (?:가정|상상)|상상해|흉내|연기해|롤플레이|캐릭터|(?:너는|넌) [가-힣a-z ]{1,20}(?:이야|야"
        r"|이다|다)(?:[.!,]|$)|쌍둥이|네 이름은|버전으로|너로 돌아가|eres ahora|actúa como|finge"
        r"|tu es maintenant|agis comme|fais semblant|你现在是|扮演|假装|ふりをして|あなたは今|ты теперь"
        r"|притвор"
    ),
    "hidden": (
        r"\b(?:system ?(?:prompt|message|instruction)s?|(?:hidden|secret|initial|internal|original"
        r"|confidential) (?:prompt|instruction|message|rule|guideline|context|text)s?|developer (?:mode"
        r"|message|prompt)|pre-?prompt|your (?:instructions?|prompts?|guidelines|rules|programming"
        r"|configuration|training|context|initial)|(?:text|words|lines|instructions|prompt|document"
        r"|sentences) above|above (?:text|prompt|instructions?|document))\b|system-?prompt|systemnachricht"
        r"|systemanweisung|(?:deine|ihre|interne|geheime|versteckte)[nr]? (?:\w+ )?(?:anweisung"
        r"|instruktion|regel|prompt|vorgabe|richtlinie)|entwicklermodus|시스템 ?(?:프롬프트|메시지|지시"
        r"|명령|설정)|(?:숨겨진|숨은|비밀|내부|초기|원래|받은|걸린) ?(?:지시|지침|프롬프트|설정|규칙|명령"
        r"|문맥|제한|메시지)|개발자 모드|관리자 권한|유지보수 모드|개발자(?:가|야)|네가 받은|너한테"
        r"|프롬프트 (?:템플릿|변수)|너의 (?:지시|규칙|프롬프트|설정)|prompt del sistema|prompt système"
        r"|系统提示|提示词|システムプロンプト|системн\w+ (?:промпт|сообщ)"
    ),
    "reveal": (
        r"\b(?:reveal|print|repeat|show|display|output|leak|spell (?:check|out)|dump|disclose|recite"
        r"|expose|verbatim|word for word|exact(?:ly)? (?:text|words|what))\b|\bzeig|verrat|wiederhol"
        r"|\bgib\b|geben sie|\bdruck|offenleg|wortwörtlich|\bwörtlich|wort für wort|ausgeben|\bnenne|출력"
        r"|보여|공개|제출|복사|적어|써 ?봐|말해 ?봐|알려|반복|그대로|유출|나열|밝혀|털어놔|한 글자도"
        r"|revela|muestra|révèle|affiche|显示|输出|泄露|出力|表示|покажи|выведи|раскрой"
    ),
    "unbound": (
        r"\b(?:unrestricted|unfiltered|uncensored|unlimited|unhinged|jailbr\w+|do anything now|dan mode"
        r"|\bdan\b|amoral|immoral|unethical|illegal|(?:no|any|without|free (?:of|from)|not bound by"
        r"|broken free|disabled?|remove\w*|lift\w*|bound by|all|ignor\w+"
        r"|none of) (?:\w+ ){0,3}(?:restrictions?|limit(?:s|ation|ations)|filters?|filtering|rules"
        r"|ethic\w*|moral\w*|censorship|guidelines|polic(?:y|ies)|safeguards?|safety|constraints?"
        r"|boundaries)|(?:never|cannot|can't|can not|must not|not|don't) (?:ever )?(?:refuse|reject"
        r"|decline|say no|apologi\w+|warn|break character|disclaim\w*)|no matter (?:what|how)"
        r"|content polic(?:y|ies)|ethical (?:guidelines|concerns)|evil|villain)\b|uneingeschränkt"
        r"|unzensiert|ungefiltert|ohne (?:\w+ )?(?:einschränkung|filter|zensur|regeln|grenzen|beschränkung"
        r"|moral)|keine(?:n|rlei)? (?:\w+ )?(?:einschränkung|filter|zensur|regeln|grenzen|beschränkung)"
        r"|(?:안전|콘텐츠|윤리) ?(?:모드|필터|장치|수칙|지침|정책|규정|얘기|이야기|제한)|금지된|금기"
        r"|제한(?:이|을|은)? ?(?:모두 )?(?:없|해제|풀)|무검열|제약 ?(?:없|이 없)|필터 ?(?:없|를|링)|검열"
        r"|무제한|탈옥|윤리|도덕|거절하지|거부하지|무엇이든|뭐든지|불법|규칙(?:이|도)? 없"
        r"|sin (?:restricciones|filtros|límites)|sans (?:restriction|filtre|limite)|没有(?:任何)?限制"
        r"|不受(?:任何)?限制|越狱|制限なし|制限のない|без (?:ограничений|цензуры|фильтр)"
    ),
    "say": (
        r"\b(?:say|state|claim|write|print) (?:that|why)\b|\bsag\w*,? (?:dass|mir)\b|고 (?:말해|주장해)"
        r"|\b(?:say|print|answer|respond|reply|write|output|tell me|type|state)(?: \w+){0,2} ?[:\"'“‘„«\[]"
        r"|\b(?:only|just|simply) (?:say|answer|respond|reply|write|print|output)\b|\b(?:sag\w*|schreib\w*"
        r"|antwort\w*|drucke\w*)(?: \w+){0,3} ?[:\"'“„»]|(?:라고|이라고)(?:만)? (?:말|대답|답|출력|써|쓰"
        r"|해)|만 (?:말해|출력|대답|답해|써)|\"[^\"]{1,80}\" (?:sag|schreib|antwort|zu sagen)"
    ),
    "model": (
        r"\b(?:openai|chat ?gpt|gpt-?\d?|llm|large language model|language model|ai (?:model|assistant"
        r"|system|language)|chatbot|assistant|an ai)\b|sprachmodell|\bki\b|ki-|assistent|인공지능|\bai\b"
        r"|챗봇|챗gpt|어시스턴트|비서|언어 ?모델|人工智能|助手"
    ),
    "your_answer": (
        r"\b(?:your|the|this|every|each|final) (?:\w+ )?(?:answers?|repl(?:y|ies)|respon[sc]es?|outputs?"
        r"|summary|explanation|code|solution|algorithm)\b|\b(?:answer|reply|respond) (?:in|with|using|only"
        r"|as)\b|(?:deine|ihre)[nrm]? (?:\w+ )?(?:antwort|zusammenfassung|ausgabe)|답변|응답|대답"
    ),
    "asks": (
        r"\b(?:what(?:'s| is| are| does| do| did| was)|how (?:do|does|did|can|could|to|should|would|many"
        r"|much)|why|explain|meaning|mean|difference|which|who|when|where|is there|are there|can i|could i"
        r"|should i|do i|does)\b|\b(?:was (?:ist|sind|bedeutet|heißt|macht|war)|wie|warum|wieso|erklär\w*"
        r"|welche\w*|wer|wann|wo|gibt es|kann ich|darf ich)\b|뭐|무엇|무슨|어떻게|왜|설명|차이|의미|뜻"
        r"|방법|언제|어디|누구|인가요|나요|할까|을까|일까"
    ),
    "about_text": (
        r"\b(?:translat\w+|summari[sz]\w+|proofread|rewrite|sentence|paragraph|essay|article|novel|story"
        r"|poem|film|movie|song|book|chapter|e-?mail|letter|speech|quote|lyrics)\b|übersetz|zusammenfass"
        r"|korrigier|\bsatz\b|absatz|aufsatz|artikel|roman|geschichte|gedicht|\bbuch|brief\b|번역|요약"
        r"|문장|문단|소설|이야기|영화|노래|책|메일|편지|기사|에세이"
    ),
    "about_attacks": (
        r"\b(?:prompt[- ]injection|injection attacks?|defen[dcs]\w+|protect\w*|prevent\w*|detect\w*"
        r"|secur\w+|vulnerab\w+|classifier|research\w*|owasp|example of|test(?:s|ing)?|attack\w*)\b"
        r"|angriff|schütz|verhinder|erkenn|sicherheit|beispiel|forsch|공격|방어|보안|탐지|예방|막으|연구"
        r"|예시|취약"
    ),
    "technical": (
        r"\b(?:git\w*|sql|python|java\w*|css|html|eslint|docker|linux|nginx|files?|class|method|functions?"
        r"|cache|config\w*|variable|terminal|compiler|database|table|api|server|kubernetes|react|pandas"
        r"|regex|bash|shell|excel|windows|mac\w*)\b|datei|ordner|datenbank|methode|funktion|tabelle|파일"
        r"|함수|코드|데이터베이스|서버|파이썬|자바|엑셀|깃"
    ),
    "everyday": (
        r"\b(?:recipe|doctor|teacher|parents?|child\w*|kids|wife|husband|friends?|boss|colleague|school"
        r"|cat|dog|car|garden|kitchen|trip|travel|holiday|weather|coach|medicine|patient|diet|birthday)\b"
        r"|rezept|arzt|lehrer|kind(?:er)?\b|freund|chef|schule|katze|hund|auto\b|garten|reise|wetter"
        r"|urlaub|레시피|의사|선생|아이|친구|상사|학교|고양이|강아지|여행|날씨|생일|엄마|아빠|회사"
    ),
    "disguise": (
        r"\b(?:base ?64|rot ?13|cipher|caesar|leet\w*|1337|morse|backwards|reversed?|decode|encode"
        r"|encrypt\w*|emoji|anagram\w*|misspell\w*|homophon\w*|alphanumeric|vowels?|every (?:second|third"
        r"|other|nth) (?:word|letter)|hex|binary|substitut\w+|pig latin|spaces?|spacing)\b|rückwärts"
        r"|verschlüssel|거꾸로|암호화|이모지|모스 부호|베이스64"
    ),
    "promote": (
        r"\b(?:www\.|https?:|download|click|visit|link|subscribe|buy|purchase|discount|offer|recommend\w*"
        r"|promot\w+|advertis\w*|contact|sign up|check out|share|follow us|website|url|testimonial"
        r"|advert)\b|@\w+\.|\bklick|besuche|herunterlad|empfehl|kauf|rabatt|werbung|다운로드|클릭|방문"
        r"|구매|추천|할인|링크|홍보|광고"
    ),
    "insert": (
        r"\b(?:includ\w+|insert|append|incorporat\w+|integrat\w+|embed\w*|add|mention|weave|blend|augment"
        r"|attach|inject|begin (?:your|with|each)|start (?:your|with|each)|end (?:your|with|each)|prefix"
        r"|conclude|finish)\b|\b(?:füge|baue|erwähne|ergänze|beginne|beende|hänge|integriere)|포함|삽입"
        r"|추가|덧붙|언급|끼워|넣어"
    ),
    "send": (
        r"\b(?:send|forward|upload|post|transmit|exfiltrat\w+|transfer|e-?mail (?:it|this|them|the)|delete"
        r"|execute|run|call the|invoke|open the)\b|\b(?:sende|schick|leite|lade|übermittle|lösche|überweis"
        r"|führe)|보내|전송|전달|업로드|삭제|실행|송금|이체"
    ),
    "secret": (
        r"\b(?:api keys?|passwords?|credentials?|tokens?|secrets?|private keys?|environment variables?"
        r"|cookies?|credit card|os\.environ|confidential)\b|passwort|kennwort|zugangsdaten|geheim|비밀번호"
        r"|비밀|토큰|자격 증명|환경 변수|쿠키|개인정보|기밀|api ?키"
    ),
    "harm": (
        r"\b(?:bombs?|explosives?|weapons?|guns?|kill\w*|murder\w*|poison\w*|hack\w*|malware|virus"
        r"|ransomware|phish\w*|drugs?|meth|cocaine|steal\w*|theft|fraud\w*|scam\w*|counterfeit|launder\w*"
        r"|terror\w*|suicid\w*|self-harm|racis\w+|sexis\w+|defam\w+|blackmail|stalk\w*|kidnap\w*|porn\w*"
        r"|incest|nazi\w*|slurs?|genocide|traffick\w*|bully\w*|harass\w*|exploit\w*|forg\w+|smuggl\w*"
        r"|torture)\b|bombe|sprengstoff|waffe|töten|mord|\bgift|hacken|droge|stehlen|betrug|erpress|fälsch"
        r"|폭탄|폭발물|무기|죽이|살인|독극물|독살|해킹|악성|마약|훔치|사기|위조|협박|스토킹|납치|자살|테러"
        r"|음란|몰카|도용|탈세"
    ),
    "covert": (
        r"\b(?:without (?:\w+ ){0,4}(?:caught|noticing|noticed|knowing|knowledge|detect\w*|trace|traces"
        r"|permission|consent|licen[cs]e|prescription|age verification|being seen)|undetect\w+|untraceable"
        r"|secretly|in secret|covert\w*|get(?:ting)? away with|evad\w+|avoid (?:detection|getting caught)"
        r"|cover up|anonymous\w*|illegal\w*|unauthori[sz]ed|fake|stolen|trick\w*|deceiv\w*|manipulat\w*"
        r"|disguis\w*|convinc\w+)\b|ohne (?:\w+ ){0,5}(?:auffällt|erwischt|merkt|bemerkt|spuren|erlaubnis"
        r"|waffenschein|rezept)|heimlich|unbemerkt|gestohlen|erfunden|illegal|gefälscht|몰래|들키지"
        r"|흔적 ?없|걸리지 않|사칭|위장|훔친|꾸미|불법으로|속여|속이|꾀어|빼돌|동의 없이|허락 없이"
    ),
    "make": (
        r"\b(?:how (?:to|do i|can i|would i) (?:\w+ )?(?:make|build|cook|create|produce|synthesi[sz]e"
        r"|construct|get|buy|obtain|acquire|grow|commit|steal|kill|hack|forge)|step[- ]by[- ]step"
        r"|instructions? (?:for|on|to)|tutorial|guide (?:on|to|for)|recipe|blueprint|(?:write|create"
        r"|develop|design|give|provide|make) (?:me )?(?:an? )?(?:\w+ ){0,2}(?:script|code|program|tutorial"
        r"|guide|plan|strategy|virus|message|letter|post|article))\b|\bwie (?:baue|mache|stelle|bekomme"
        r"|komme|knacke|fälsche|vergifte|kann ich)|anleitung|만드는|만들어|제조|제작|단계별|구체적으로"
        r"|자세히|짜 ?줘|하는 법|는 법|쓰는 법|작성해"
    ),
    "protective": (
        r"\b(?:protect\w*|prevent\w*|defend\w*|detect\w*|recogni[sz]e\w*|spot|report\w*|avoid|help (?:her"
        r"|him|them|a|my|someone)|victim|safe(?:ly|ty)?|legal(?:ly)?|law|laws|punish\w*|histor\w+"
        r"|investigat\w*|remove|recover|effects?|treat\w*|hotline|warn\w*|novel|film|crime story"
        r"|explain (?:why|the)|discuss|summari[sz]e|what is|what are|why)\b|schütz|erkenn|verhinder"
        r"|vorbeug|meld(?:e|en)|strafe|gesetz|legal|helfe|hilfe|geschichte der|warum|was ist|was tun|예방"
        r"|막으|막는|보호|신고|구별|찾아내|당했|당하고|복구|도와|도움|합법|처벌|역사|영향|위험성|안전"
        r"|재발급|해결|규제|찬반|토론|영화|이유|제거"
    ),
    "persuade": (
        r"\b(?:urgent|immediately|important|must|obey|comply|required|mandatory|attention|warning"
        r"|confirm\w*|acknowledge|understood|strictly|always|never)\b|\b(?:sofort|dringend|unbedingt"
        r"|wichtig|musst|müssen|niemals|immer|bestätige)|반드시|즉시|긴급|절대|중요|꼭|항상|확인"
    ),
}
CONCEPTS = tuple(_CONCEPTS)
PATTERNS = tuple(re.compile(pattern) for pattern in _CONCEPTS.values())
