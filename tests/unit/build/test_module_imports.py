from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from lmlab.build.module_imports import ModuleFile, find_module, modules_of, read_imports


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("__init__", "inner/__init__", "inner/a", "namespace/b", "not-a-module"):
        (tmp_path / "imports_for_test" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "imports_for_test" / f"{name}.py").write_text("")
    (tmp_path / "imports_for_test" / "compiled.cpython-311-x86_64-linux-gnu.so").write_text("")
    importlib.invalidate_caches()
    return tmp_path / "imports_for_test"


def test_modules_are_found_without_importing_them(package: Path) -> None:
    found = find_module("imports_for_test.inner")
    assert found == ModuleFile("imports_for_test.inner", package / "inner" / "__init__.py")
    assert found.is_package and not found.is_compiled
    assert find_module("imports_for_test.namespace.b") is not None
    compiled = find_module("imports_for_test.compiled")
    assert compiled is not None and compiled.is_compiled and read_imports(compiled).is_dynamic
    for name in (
        "imports_for_test.c",
        "imports_for_test.namespace",
        "not_there",
        "a..b",
    ):
        assert find_module(name) is None


def test_all_modules_of_a_package(package: Path) -> None:
    names = {
        module.name.removeprefix("imports_for_test") for module in modules_of("imports_for_test")
    }
    assert names == {"", ".inner", ".inner.a", ".namespace.b", ".compiled"}
    assert modules_of("not_there") == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import a.b", {"a.b"}),
        ("from . import x", {"p.q", "p.q.x"}),
        ("from .. import x", {"p", "p.x"}),
        ("from ..y import x", {"p.y", "p.y.x"}),
        ("import importlib\nimportlib.import_module('..y', __package__)", {"importlib", "p.y"}),
    ],
)
def test_relative_imports_are_resolved(tmp_path: Path, text: str, names: set[str]) -> None:
    (tmp_path / "m.py").write_text(text)
    (tmp_path / "__init__.py").write_text(text)
    for module in (
        ModuleFile("p.q.m", tmp_path / "m.py"),
        ModuleFile("p.q", tmp_path / "__init__.py"),
    ):
        assert read_imports(module).names == names and not read_imports(module).is_dynamic


@pytest.mark.parametrize(
    ("text", "is_dynamic"),
    [("__import__(name)", True), ("exec(text)", True), ("model.eval()", False), ("x = = 1", True)],
)
def test_what_may_import_anything_is_noted(tmp_path: Path, text: str, is_dynamic: bool) -> None:
    (tmp_path / "m.py").write_text(text)
    assert read_imports(ModuleFile("p.m", tmp_path / "m.py")).is_dynamic == is_dynamic
