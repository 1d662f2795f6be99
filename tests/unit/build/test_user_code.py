from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest

from lmlab.build import user_code
from lmlab.build.user_code import earlier_user_code, newest_change

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write modules, by their path below a folder that Python imports from."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write_files(**files: str) -> None:
        for name, text in files.items():
            path = tmp_path / (name.replace("__", "/").replace("/init/", "__init__") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        importlib.invalidate_caches()

    return write_files


def code(target: str, **settings: object) -> dict[str, str]:
    user_code.forget()
    user_code._is_edited_in_place.cache_clear()
    return user_code.user_code({"model": {"_target_": target} | settings})


def test_only_what_targets_outside_lmlab_and_torch_name_counts(write: Write) -> None:
    write(one_for_test="a = 1\n", two_for_test="a = 1\n")
    assert code("lmlab.nn.ffn.GELU", steps=3, text="os.path.join") == {}
    assert code("torch.optim.SGD") == {}
    nested = {"layers": [{"_target_": "two_for_test.B", "_partial_": True}]}
    assert code("one_for_test.A", **nested).keys() == {"one_for_test", "two_for_test"}


def test_a_text_that_names_something_in_a_trusted_package_counts(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(one_for_test="a = 1\n")
    monkeypatch.setattr(user_code, "trusted_packages", lambda: ["one_for_test"])
    assert code("lmlab.nn.ffn.GELU", activation="one_for_test.f").keys() == {"one_for_test"}
    assert code("lmlab.nn.ffn.GELU", activation="one_for_test is trusted") == {}


def test_part_of_a_package_that_is_trusted_counts_as_the_package_does(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(one_for_test="import two_for_test.parts\n", two_for_test__parts="a = 1\n")
    monkeypatch.setattr(user_code, "trusted_packages", lambda: ["two_for_test.parts"])
    monkeypatch.setattr(user_code, "edited_in_place", lambda package: None)
    expected = {"two_for_test.parts"}
    assert code("one_for_test.A").keys() == {"one_for_test"} | expected
    assert code("lmlab.nn.ffn.GELU", activation="two_for_test.parts.f").keys() == expected


IMPORTS = {
    "absolute": "import own_for_test.b",
    "by name": "from own_for_test.b import x",
    "from the package": "from own_for_test import b",
    "relative": "from . import b",
    "relative by name": "from .b import x",
    "star": "from .b import *",
    "in a function": "def f():\n    from .b import x",
    "in a condition": "import sys\nif sys.platform == 'none':\n    from .b import x",
    "for types": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from . import b",
    "with a fallback": "try:\n    import other\nexcept ImportError:\n    from . import b as other",
    "by a call": "import importlib\nb = importlib.import_module('.b', __package__)",
    "by a builtin": "b = __import__('own_for_test.b')",
    "computed": "from importlib import import_module\nb = import_module('own_for_test.' + 'b')",
    "all of the package": "import pkgutil\nfor one in pkgutil.iter_modules(['.']): ...",
    "through another module": "from . import c",
    "star of a package with a list": "from own_for_test import *",
}


@pytest.mark.parametrize("statement", IMPORTS.values(), ids=IMPORTS)
def test_modules_that_are_imported_count(write: Write, statement: str) -> None:
    write(
        own_for_test____init__="__all__ = ['b']\n", own_for_test__a=statement + "\n",
        own_for_test__b="x = 1\n", own_for_test__c="from .b import x\n",
    )  # fmt: skip
    before = code("own_for_test.a.A")
    assert {"own_for_test", "own_for_test.a", "own_for_test.b"} <= before.keys()
    write(own_for_test__b="x = 2\n")
    after = code("own_for_test.a.A")
    assert {name for name in before if before[name] != after[name]} == {"own_for_test.b"}


def test_modules_that_are_not_imported_do_not_count(write: Write) -> None:
    write(own_for_test____init__="", own_for_test__a="x = 1\n", own_for_test__b="x = 1\n")
    assert code("own_for_test.a.A").keys() == {"own_for_test", "own_for_test.a"}


def test_a_target_that_is_exported_again_is_followed(write: Write) -> None:
    write(
        own_for_test____init__="from .inner import A\n", own_for_test__inner____init__="",
        own_for_test__inner__a="class A: ...\n",
    )  # fmt: skip
    write(own_for_test__inner____init__="from own_for_test.inner.a import A as A\n")
    assert "own_for_test.inner.a" in code("own_for_test.A")
    assert "own_for_test.inner.a" in code("own_for_test.inner.A.method")


def test_a_base_class_in_another_package_that_is_edited_in_place_is_followed(write: Write) -> None:
    write(one_for_test="from two_for_test.base import Base\n", two_for_test__base="x = 1\n")
    before = code("one_for_test.A")
    write(two_for_test__base="x = 2\n")
    assert before.keys() == {"one_for_test", "two_for_test.base"}
    assert code("one_for_test.A") != before


def test_an_installed_package_that_modules_import_counts_by_its_version(write: Write) -> None:
    write(one_for_test="import math\nimport numpy\nimport torch\nimport yaml\nimport lmlab.nn\n")
    found = code("one_for_test.A")
    assert found.keys() == {"one_for_test", "version of yaml"}
    assert found["version of yaml"], "the distribution has another name"


def test_sources_in_other_languages_count_and_data_do_not(write: Write, tmp_path: Path) -> None:
    write(own_for_test____init__="", one_for_test="source = 'beside.cu'\n")
    (tmp_path / "own_for_test" / "csrc").mkdir()
    for name in ("own_for_test/csrc/kernel.cu", "own_for_test/notes.txt", "beside.cu", "not.cu"):
        (tmp_path / name).write_text("x")
    before = code("own_for_test.A")
    assert before.keys() == {"own_for_test", "own_for_test/csrc/kernel.cu"}
    (tmp_path / "own_for_test/csrc/kernel.cu").write_text("y")
    assert code("own_for_test.A") != before
    assert code("one_for_test.A").keys() == {"one_for_test", "beside.cu"}


def test_the_code_of_a_process_is_that_which_it_found_first(write: Write) -> None:
    write(one_for_test="a = 1\n")
    first = code("one_for_test.A")
    write(one_for_test="a = 2\n")
    assert user_code.user_code({"_target_": "one_for_test.A"}) == first
    assert user_code.changed_since({"_target_": "one_for_test.A"}) == ["one_for_test"]
    assert code("one_for_test.A") != first


def test_the_record_of_earlier_versions_is_that_of_all_files(write: Write, tmp_path: Path) -> None:
    write(own_for_test____init__="", own_for_test__a="x = 1\n")
    settings = {"_target_": "own_for_test.A", "optim": {"_target_": "torch.optim.SGD"}}
    assert earlier_user_code(settings) == {
        "own_for_test": {"version": None, "source": "380b733798ee8d55"}
    }  # as commit 247f08d computed it
    assert newest_change(settings) == (tmp_path / "own_for_test" / "__init__.py").stat().st_mtime
