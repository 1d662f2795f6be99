from __future__ import annotations

import ast

import pytest

from lmlab.build.source_hash import hash_bytes, read_source


def digest(text: str) -> str:
    return read_source(text.encode()).digest


PLAIN = "import a\nimport b\n\n\nclass A:\n    x = 1\n\n    def f(self, y=2.0):\n        return y\n"


@pytest.mark.parametrize(
    "other",
    [
        '"""A docstring."""\n# and a comment\n' + PLAIN,
        PLAIN.replace("x = 1", '"""Doc."""\n    x = (1)\n    """Of x."""'),
        PLAIN.replace("        return y", '        """Doc."""\n        pass\n        return (y)'),
        PLAIN.replace("2.0", "2.00").replace("\n", "\r\n"),
        PLAIN.replace("import a\nimport b", "import b  # sorted\nimport a"),
        "\ufeff" + PLAIN,
    ],
)
def test_comments_docstrings_and_formatting_change_nothing(other: str) -> None:
    assert digest(other) == digest(PLAIN)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 1.0"), ("x = 1", "x = True"), ("x = 'a'", "x = b'a'"), ("f(a)", "f(b)"),
        ("x = 0.1", "x = 0.10000000000000002"), ("x = {**a}", "x = {None: a}"),
        ("def f(): return None", "def f(): return 0"), ("x = 1j", "x = 1"),
        ("def f(*, a, b=1): 0", "def f(*, a=1, b): 0"), ("x = -1", "x = 1"), ("x = ...", "x = 1"),
        ("from .a import b", "from ..a import b"), ("@d\ndef f(): 0", "def f(): 0"),
        ("match x:\n case None: f()", "match x:\n case True: f()"),
        ("f'{x}a'", "f'a{x}'"), ("f'{x!r}'", "f'{x!s}'"), ("f'{x:3}'", "f'{x:4}'"),
        ("from a import f\nfrom b import f", "from b import f\nfrom a import f"),
        ("import a\nimport b as a", "import b as a\nimport a"),
        ("from a import *\nfrom b import *", "from b import *\nfrom a import *"),
        ("f()\nimport a", "import a\nf()"), ("async def f(): 0", "def f(): 0"),
        ("x: int = 1", "x = 1"), ("for i in x: f()", "for i in x: f()\nelse: g()"),
    ],
)  # fmt: skip
def test_another_meaning_is_another_hash(one: str, other: str) -> None:
    assert digest(one) != digest(other)


def test_texts_that_stand_beside_each_other_are_one() -> None:
    assert digest("x = f'a' 'b' f'{c}' f'' 'd' 'e'") == digest("x = f'ab{c}de'")


def test_hashes_are_those_of_all_versions_of_python() -> None:
    """Made on 3.11, and equal on 3.12, 3.13 and 3.14; a new field of a node changes nothing."""
    text = (
        "import os\nfrom .x import (y as z)\n@d(1)\nclass A(B, k=1):\n x: int = 0x10\n"
        " async def f(self, a, /, b=1e-3, *c, d: 'é\\x7f', **e) -> None:\n"
        "  'doc'\n  async with a as b, c: yield {**a, 'b': [*c]}\n"
        "  return f'{a!r:>{b}} {b=}' u'x' if a else lambda x: x[1:2, ::3]\n"
        "try: pass\nexcept* E as e: raise X from e\n"
        "match a:\n case [1, *_] | {'k': B(c=None)} if x: pass\n case _: del a, b\n"
        "x = 1_000j + 10**400 - 1e999 @ b'\\xff' and not ~y is not z\nglobal q\n"
    )
    assert digest(text) == "9e1efb63afeb2ea4"


def test_deeply_nested_code_is_read() -> None:
    assert digest("x = " + "+".join(["1"] * 900)) != digest("x = " + "+".join(["1"] * 901))


def test_what_cannot_be_parsed_counts_by_its_content() -> None:
    source = read_source(b"x = = 1")
    assert source.tree is None and source.digest == hash_bytes(b"x = = 1")
    assert hash_bytes(b"a\r\nb") == hash_bytes(b"a\nb") != hash_bytes(b"a b")


def test_a_further_field_of_a_node_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "def f(): return 1"
    before = digest(text)
    monkeypatch.setattr(ast.FunctionDef, "_fields", (*ast.FunctionDef._fields, "new_in_python"))
    monkeypatch.setattr(ast.FunctionDef, "new_in_python", None, raising=False)
    assert digest(text + "  # read again") == before
