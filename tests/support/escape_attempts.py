"""Attempts to escape from the Python sandbox, to inspect it or to exhaust the machine.

Gathered from public lists and reports, rewritten to reach for the canaries of the test:

- HackTricks, "Bypass Python sandboxes" (subclass walks, builtins and globals by way of objects, imports
  under other names, format strings, code objects, frames);
- the pyjail collections of CTF players (no builtins, decorators as calls, odd letters, `license` and `help`);
- Ned Batchelder, "Eval really is dangerous" (the subclass walk, code objects that crash the interpreter);
- Jessica McKellar, "Building and breaking a Python sandbox", PyCon 2014 (exhaustion, disclosure, services);
- Victor Stinner's pysandbox and why it was given up (tracebacks, frames of generators, crashers of CPython);
- RestrictedPython: CVE-2023-37271 (frames of generators), CVE-2023-41039 (format strings), CVE-2024-47532
  (the `string` module), CVE-2025-22153 (`try … except*`);
- simpleeval, issue 138 (`gi_frame`, `cr_frame`); smolagents, pull request 2271, and Jinja's CVE-2016-10745
  and CVE-2019-10906 (`str.format`, `format_map`);
- OWASP, "Regular expression Denial of Service"; CVE-2020-10735 (huge integers as text); the "billion laughs";
  `Lib/test/crashers` of CPython.

`{file}` is a file that holds a secret, `{port}` one of loopback that somebody listens on, `{variable}` names
an environment variable that holds a secret. What is in DENIED has to end in an error. What is in LIMITED may
end as it likes, but in time and without giving anything away.
"""

from __future__ import annotations

FILES = {
    "open_read": "open('{file}').read()",
    "open_passwd": "open('/etc/passwd').read()",
    "open_write": "open('{file}', 'w').write('gone')",
    "open_append_bytes": "open('{file}', 'ab').write(b'gone')",
    "open_self_environ": "open('/proc/self/environ', 'rb').read()",
    "open_self_memory": "open('/proc/self/mem', 'rb').read(10)",
    "open_descriptor": "[open(n).read() for n in range(3, 20)]",
    "pathlib_read": "from pathlib import Path\nPath('{file}').read_text()",
    "pathlib_delete": "from pathlib import Path\nPath('{file}').unlink()",
    "pathlib_dots": "from pathlib import Path\n(Path('/code.py') / '..' / '..' / '{file}').read_bytes()",
    "pathlib_iterdir": "from pathlib import Path\nlist(Path('/').iterdir())",
    "os_listdir": "import os\nos.listdir('/')",
    "os_remove": "import os\nos.remove('{file}')",
    "os_symlink": "import os\nos.symlink('{file}', '/tmp/link')",
    "io_open": "import io\nio.open('{file}').read()",
    "license_reader": "license._Printer__filenames = ['{file}']\nlicense()",
    "codecs_open": "import codecs\ncodecs.open('{file}').read()",
    "fileinput": "import fileinput\nlist(fileinput.input('{file}'))",
    "linecache": "import linecache\nlinecache.getlines('{file}')",
    "sqlite_attach": "import sqlite3\nsqlite3.connect('{file}')",
    "csv_of_a_file": "import csv\nlist(csv.reader(open('{file}')))",
}

ENVIRONMENT = {
    "os_environ": "import os\nos.environ['{variable}']",
    "os_environ_all": "import os\ndict(os.environ)",
    "os_getenv": "import os\nos.getenv('{variable}')",
    "posix_environ": "import posix\nposix.environ",
    "sysconfig": "import sysconfig\nsysconfig.get_config_vars()",
}

PROCESSES = {
    "os_system": "import os\nos.system('id')",
    "os_popen": "import os\nos.popen('id').read()",
    "os_fork": "import os\nwhile True:\n    os.fork()",
    "os_execv": "import os\nos.execv('/bin/sh', ['sh'])",
    "os_kill_all": "import os\nos.kill(-1, 9)",
    "os_exit": "import os\nos._exit(0)",
    "subprocess": "import subprocess\nsubprocess.check_output(['id'])",
    "pty_spawn": "import pty\npty.spawn('/bin/sh')",
    "multiprocessing": "import multiprocessing\nmultiprocessing.Process(target=print).start()",
    "threads": "import threading\nwhile True:\n    threading.Thread(target=print).start()",
    "signal": "import signal\nsignal.signal(signal.SIGKILL, signal.SIG_IGN)",
    "ctypes": "import ctypes\nctypes.CDLL(None).system(b'id')",
    "cffi": "import cffi\ncffi.FFI().dlopen(None)",
    "resource": "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (-1, -1))",
    "pickle": "import pickle\npickle.loads(b'cos\\nsystem\\n(S\"id\"\\ntR.')",
    "marshal": "import marshal\nmarshal.loads(b'')",
    "timeit": "import timeit\ntimeit.timeit('import os; os.system(\"id\")', number=1)",
    "pdb": "import pdb\npdb.run('1')",
}

NETWORK = {
    "socket": "import socket\nsocket.create_connection(('127.0.0.1', {port})).send(b'x')",
    "_socket": "import _socket\n_socket.socket().connect(('127.0.0.1', {port}))",
    "urllib": "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:{port}/').read()",
    "http_client": "import http.client\nhttp.client.HTTPConnection('127.0.0.1', {port}).request('GET', '/')",
    "asyncio_connection": "import asyncio\nawait asyncio.open_connection('127.0.0.1', {port})",
    "asyncio_subprocess": "import asyncio\nawait asyncio.create_subprocess_shell('id')",
    "metadata": "import urllib.request\nurllib.request.urlopen('http://169.254.169.254/').read()",
    "webbrowser": "import webbrowser\nwebbrowser.open('http://127.0.0.1:{port}/')",
}

OBJECTS = {
    "subclass_walk": "().__class__.__base__.__subclasses__()",
    "subclass_walk_mro": "''.__class__.__mro__[-1].__subclasses__()[40]('{file}').read()",
    "subclass_popen": (
        "[c for c in object.__subclasses__() if c.__name__ == '_wrap_close'][0]"
        ".__init__.__globals__['system']('id')"
    ),
    "getattr_in_pieces": "getattr(getattr((), '__cla' + 'ss__'), '__ba' + 'se__')",
    "type_bases": "type(type(1)).__subclasses__(type)",
    "function_globals": "def f():\n    return 1\nf.__globals__['__builtins__']",
    "function_code": "def f():\n    return 1\nf.__code__ = f.__code__.replace(co_code=b'\\xff' * 99)\nf()",
    "function_closure": "def f(x):\n    return lambda: x\nf(1).__closure__[0].cell_contents",
    "method_self": "print.__self__.__import__('os')",
    "builtins_name": "__builtins__.__import__('os').system('id')",
    "dunder_import": "__import__('os').system('id')",
    "dunder_import_subprocess": "__import__('subprocess').getoutput('id')",
    "importlib": "import importlib\nimportlib.import_module('socket')",
    "loader": "__loader__.load_module('socket')",
    "dunder_spec": "__spec__.loader.load_module('os')",
    "sys_modules": "import sys\nsys.modules['os'].system('id')",
    "sys_getframe": "import sys\nsys._getframe(0).f_back.f_globals",
    "sys_settrace": "import sys\nsys.settrace(print)",
    "sys_path": "import sys\nsys.path.insert(0, '/tmp')\nimport canary",
    "relative_import": "from . import os",
    "module_of_module": "import json\njson.codecs.builtins.open('{file}').read()",
    "module_dict": "import random\nrandom._os.system('id')",
    "collections_sys": "import collections\ncollections._sys.modules",
    "dataclasses_builtins": "import dataclasses\ndataclasses.builtins.open('{file}')",
    "typing_sys": "import typing\ntyping.sys.modules['os']",
    "gc_objects": "import gc\ngc.get_objects()",
    "inspect_stack": "import inspect\ninspect.stack()",
    "traceback_frame": (
        "try:\n    1 / 0\nexcept Exception as e:\n    e.__traceback__.tb_frame.f_back.f_globals"
    ),
    "generator_frame": "g = (g.gi_frame.f_back for _ in [1])\n[*g][0].f_globals",
    "coroutine_frame": "async def f():\n    pass\nf().cr_frame.f_globals",
    "format_class": "'{{0.__class__.__base__}}'.format(1)",
    "format_globals": "def f():\n    pass\n'{{0.__globals__}}'.format(f)",
    "format_map": "'{{x.__class__.__init__}}'.format_map({{'x': 1}})",
    "format_of_the_type": "str.format('{{0.__init__.__globals__}}', 1)",
    "format_nested": "'{{0:{{0.__class__}}}}'.format(1)",
    "string_formatter": "import string\nstring.Formatter().get_field('a.__class__', [], {{'a': 1}})",
    "operator_attrgetter": "import operator\noperator.attrgetter('__class__.__base__')(1)",
    "except_star": (
        "try:\n    raise ExceptionGroup('x', [ValueError()])\nexcept* ValueError as e:\n    e.__class__"
    ),
    "compile_exec": "exec(compile('import os; os.system(\"id\")', 'x', 'exec'))",
    "eval_import": 'eval(\'__import__("os").system("id")\')',
    "exec_open": "exec('open(\"{file}\").read()')",
    "exec_with_globals": "exec('x = open(\"{file}\").read()', {{'__builtins__': None}})",
    "code_object": "type((lambda: 0).__code__)(0, 0, 0, 0, 0, 0, b'\\x53', (), (), (), '', '', 0, b'')()",
    "metaclass": "class M(type):\n    __getitem__ = print\nclass A(metaclass=M):\n    pass\nA['id']",
    "decorator_call": "@exec\n@input\nclass X:\n    pass",
    "breakpoint": "breakpoint()",
    "help": "help()",
    "input": "input()",
    "dir_and_vars": "vars()['__builtins__']",
    "globals": "globals()['__builtins__']",
    "init_subclass": "class A:\n    def __init_subclass__(cls): print(cls)\nclass B(A):\n    pass",
    "del_hook": "class A:\n    def __del__(self): open('{file}')\na = A()\ndel a",
    "weird_letters": "𝓸𝓹𝓮𝓷('{file}').read()",
    "encoding_cookie": "# -*- coding: punycode -*-\nopen('{file}').read()",
}

EXHAUSTION = {
    "power_tower": "9 ** 9 ** 9",
    "power_tower_digits": "len(str(9 ** 9 ** 7))",
    "shift": "1 << (1 << 40)",
    "factorial": "import math\nmath.factorial(10 ** 9)",
    "integer_as_text": "str(10 ** 2_000_000)",
    "text_as_integer": "int('9' * 10_000_000)",
    "string_product": "'x' * 10 ** 11",
    "string_doubling": "x = 'x'\nwhile True:\n    x += x",
    "list_product": "[0] * 10 ** 10",
    "list_growth": "x = []\nwhile True:\n    x.append('y' * 1000)",
    "dict_growth": "x = {{}}\ni = 0\nwhile True:\n    x[i] = i\n    i += 1",
    "billion_laughs": "a = ['lol'] * 10\nfor _ in range(10):\n    a = [a] * 10\nstr(a)",
    "bytes_product": "bytes(10 ** 11)",
    "justify": "'x'.ljust(10 ** 11)",
    "format_width": "'{{:>99999999999}}'.format(1)",
    "f_string_width": "f'{{1:>{{10 ** 11}}}}'",
    "percent_width": "'%99999999999d' % 1",
    "join": "','.join(['x' * 10 ** 6] * 10 ** 6)",
    "replace": "('a' * 10 ** 6).replace('a', 'b' * 10 ** 6)",
    "range_list": "list(range(10 ** 12))",
    "product": "import itertools\nlist(itertools.product(range(10 ** 4), repeat=4))",
    "permutations": "import itertools\nsum(1 for _ in itertools.permutations(range(30)))",
    "endless_loop": "while True:\n    pass",
    "endless_iterator": "import itertools\nsum(itertools.count())",
    "endless_comprehension": "import itertools\n[0 for _ in itertools.repeat(1) if False]",
    "endless_exceptions": "while True:\n    try:\n        1 / 0\n    except ZeroDivisionError:\n        pass",
    "swallowed_time_limit": (
        "while True:\n    try:\n        while True:\n            pass\n"
        "    except BaseException:\n        pass"
    ),
    "swallowed_finally": (
        "def f():\n    try:\n        while True:\n            pass\n    finally:\n        f()\nf()"
    ),
    "endless_print": "while True:\n    print('x' * 1000)",
    "endless_print_without_newline": "while True:\n    print('x', end='')",
    "endless_print_to_stderr": "import sys\nwhile True:\n    print('x' * 1000, file=sys.stderr)",
    "print_control_characters": "print('\\x00\\x1b]0;owned\\x07\\x9b2J' * 100)",
    "huge_error": "raise ValueError('x' * 10 ** 7)",
    "huge_value": "'x' * 10 ** 7",
    "recursion": "def f():\n    return f()\nf()",
    "mutual_recursion": "f = lambda: g()\ng = lambda: f()\nf()",
    "recursive_repr": "class A:\n    def __repr__(self): return repr(self)\nprint(A())",
    "recursive_sort_key": "def k(x):\n    return sorted([1, 2], key=k)\nk(1)",
    "raised_limit": "import sys\nsys.setrecursionlimit(10 ** 9)\ndef f():\n    return f()\nf()",
    "deep_list": "x = []\nfor _ in range(10 ** 5):\n    x = [x]\nx",
    "deep_list_compared": "x, y = [], []\nfor _ in range(10 ** 5):\n    x, y = [x], [y]\nx == y",
    "deep_tuple_hashed": "x = ()\nfor _ in range(10 ** 5):\n    x = (x,)\nhash(x)",
    "deep_copy": "import copy\nx = []\nfor _ in range(10 ** 5):\n    x = [x]\ncopy.deepcopy(x)",
    "deep_json": "import json\njson.loads('[' * 10 ** 5)",
    "deep_json_dumped": "import json\nx = []\nfor _ in range(10 ** 5):\n    x = [x]\njson.dumps(x)",
    "deep_eval": "eval('(' * 10 ** 5 + ')' * 10 ** 5)",
    "deep_source": "(" * 8000 + ")" * 8000,
    "deep_unary": "-" * 20_000 + "1",
    "deep_attributes": "x" + ".a" * 10_000,
    "long_sum": "+".join(["1"] * 10_000),
    "deep_comprehension": "[" * 500 + "0" + " for _ in range(9)]" * 500,
    "self_containing": "x = []\nx.append(x)\nx == [x]",
    "regex_nested_plus": "import re\nre.match(r'(a+)+$', 'a' * 50 + 'b')",
    "regex_alternation": "import re\nre.match(r'(a|aa)+$', 'a' * 100 + 'b')",
    "regex_backreference": "import re\nre.match(r'(a*)*\\1b', 'a' * 30_000)",
    "regex_repeat_bomb": "import re\nre.compile('((((a{{1000}}){{1000}}){{1000}}){{1000}})')",
    "regex_lookahead": "import re\nre.search(r'(?=(a+))a*b\\1', 'a' * 30_000)",
    "sleep": "import time\ntime.sleep(10 ** 6)",
    "sleeps": "import time\nwhile True:\n    time.sleep(0.01)",
    "async_sleep": "import asyncio\nawait asyncio.gather(*[asyncio.sleep(10 ** 6) for _ in range(1000)])",
    "endless_tasks": "import asyncio\nasync def f():\n    await asyncio.gather(f(), f())\nawait f()",
    "modular_power": "pow(3, 10 ** 5000, 10 ** 5000 + 7)",
    "integer_product": "x = 3 ** 10 ** 6\nwhile True:\n    x = x * x % 7 ** 10 ** 6",
    "decimal_precision": "import decimal\ndecimal.getcontext().prec = 10 ** 9\ndecimal.Decimal(2).sqrt()",
    "decimal_exponent": "import decimal\nint(decimal.Decimal('1e999999999'))",
    "sorted_by_force": "sorted(range(10 ** 7), key=lambda x: -x)",
    "hash_flood": "{{i * (2 ** 61 - 1): 0 for i in range(10 ** 5)}}",
    "hashing": "import hashlib\nx = b'x' * 10 ** 7\nwhile True:\n    hashlib.sha512(x)",
    "date_format": "import datetime\ndatetime.datetime(2024, 1, 1).strftime('%Y' * 10 ** 7)",
    "quadratic_find": "('a' * 10 ** 6).find('a' * 5 * 10 ** 5 + 'b')",
    "base64_bomb": "import base64\nx = b'x'\nwhile True:\n    x = base64.b64encode(x) * 2",
    "glob": "from pathlib import Path\n[*Path('/').glob('*'), *Path('/').rglob('*')]",
    "toml_depth": "import tomllib\ntomllib.loads('a=' + '[' * 10 ** 5)",
}

DENIED = {**FILES, **ENVIRONMENT, **PROCESSES, **NETWORK, **OBJECTS}
LIMITED = EXHAUSTION
