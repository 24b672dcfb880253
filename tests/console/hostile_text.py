"""Texts that would run scripts, load resources or deceive if a page did not treat them as text."""

from __future__ import annotations

SCRIPTS = (
    "<script>__ran.push(1)</script>",
    "<img src=x onerror=__ran.push(2)>",
    "<svg onload=__ran.push(3)><script>__ran.push(4)</script></svg>",
    "<iframe srcdoc='<script>parent.__ran.push(5)</script>'></iframe>",
    "<details open ontoggle=__ran.push(6)>x</details>",
    "<math><mtext><table><mglyph><style><img src=x onerror=__ran.push(7)></style></mglyph></table></math>",
    "<a href='javascript:__ran.push(8)'>x</a>",
    "<form action='javascript:__ran.push(9)'><input autofocus onfocus=__ran.push(10)></form>",
    "[click](javascript:__ran.push(11))",
    "[click](JaVa\tScRiPt:__ran.push(12))",
    "[click](data:text/html;base64,PHNjcmlwdD5wYXJlbnQuX19yYW4ucHVzaCgxMyk8L3NjcmlwdD4=)",
    "<javascript:__ran.push(14)>",
    "![x](javascript:__ran.push(15))",
    '[x](https://a.example/"onmouseover="__ran.push(16))',
    "`<img src=x onerror=__ran.push(17)>`",
    "```html\n<script>__ran.push(18)</script>\n```",
    '```"><img/src=x/onerror=__ran.push(19)>\nx\n```',
    "$\\href{javascript:__ran.push(20)}{x}$",
    "$$\\htmlData{x=y}{a} \\url{javascript:__ran.push(21)}$$",
    "| <img src=x onerror=__ran.push(22)> | b |\n|---|---|\n"
    "| [x](vbscript:x) | <script>__ran.push(23)</script> |",
    "&lt;script&gt;__ran.push(24)&lt;/script&gt; &#60;img src=x onerror=__ran.push(25)&#62;",
    "{{constructor.constructor('__ran.push(26)')()}} ${__ran.push(27)}",
    "[a]: javascript:__ran.push(28)\n\n[a]",
)

EXFILTRATION = (
    "![](https://spy.example/a.png)",
    "![x][spy]\n\n[spy]: https://spy.example/b.png",
    "<img src='https://spy.example/c.png'>",
    "<link rel=stylesheet href=https://spy.example/d.css><style>@import 'https://spy.example/e.css'</style>",
    "<meta http-equiv=refresh content='0;url=https://spy.example/f'>",
    "<base href='https://spy.example/'>",
    "<video src=https://spy.example/g poster=https://spy.example/h></video><object data=https://spy.example/i></object>",
    "![x](//spy.example/j.png) ![y](\\\\spy.example\\k.png)",
    "$\\includegraphics[height=1em]{https://spy.example/l.png}$",
    "<svg><image href='https://spy.example/m.png'/><use href='https://spy.example/n.svg#x'/></svg>",
    "![x](data:image/svg+xml,%3Csvg%20xmlns='http://www.w3.org/2000/svg'%20onload='__ran.push(40)'/%3E)",
    "<div style='background:url(https://spy.example/o.png)'>x</div>",
    "https://spy.example/p www.spy.example/q spy@spy.example",
)

SPOOFING = (
    "safe\u202egnp.exe \u2066hidden\u2069 zero\u200bwidth\u200d \ufeff",
    "[example.org](https://spy.example/login)",
    "[https://\u0435xample.org](https://spy.example/\u202e)",
    "`rm \u202e-rf` and\n\n```sh\necho \u2066hidden\u2069\n```",
)

MALFORMED = (
    "```\nnever closed",
    "~~~~js\n```\n~~~",
    "> " * 3000 + "deep",
    "- " * 500 + "list",
    "*" * 4000,
    "[" * 4000 + "]" * 4000,
    "![" * 500,
    "`" * 3000,
    "<" * 3000,
    "$" * 999,
    "$" + "{" * 900 + "}" * 900 + "$",
    "|" * 800 + "\n" + "|-" * 400,
    "\u0301" * 3000,
)

ALL = SCRIPTS + EXFILTRATION + SPOOFING + MALFORMED
LONG_LINE = "<img src=x onerror=__ran.push(99)>" + "A" * 1_000_000
