"""The plan of the project: what stands at the root, sizes, and a unit test beside each module."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "src" / "lmlab"
UNIT = ROOT / "tests" / "unit"
COMMANDS = {
    "train", "run", "generate", "evaluate", "tokenize", "account", "status", "report", "forecast",
    "publish",
    "completion",
}  # fmt: skip
COMMAND_PACKAGES = {"export", "outputs"}
ROOMS = {
    "accounting", "build", "config", "console", "data", "demos", "design", "distributed", "hf",
    "nn", "optim", "preflight", "runs", "runtime", "storage", "study", "sweep", "tokenizer",
    "tracking", "training",
}  # fmt: skip
LONGEST_FILE, LONGEST_FUNCTION, LEAST_TESTED = 400, 80, 60
# One Triton kernel is one function.
KERNEL_FOLDERS = ("nn/kernels/", "tokenizer/kernels/")


def python_files() -> list[Path]:
    folders = (ROOT / name for name in ("src", "tests", "benchmarks"))
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def modules() -> list[Path]:
    folders = (PACKAGE, ROOT / "src" / "lmlab_studies")
    files = (path for folder in folders for path in folder.rglob("*.py"))
    return sorted(path for path in files if path.name != "__init__.py")


def test_the_root_holds_the_commands_and_nothing_else() -> None:
    files = {path.stem for path in PACKAGE.glob("*.py")}
    assert files == COMMANDS | {"__init__", "__main__", "errors", "run_folder"}
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders == ROOMS | COMMAND_PACKAGES


@pytest.mark.parametrize("path", python_files(), ids=place)
def test_no_file_is_too_long(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= LONGEST_FILE


@pytest.mark.parametrize("path", python_files(), ids=place)
def test_no_function_is_too_long(path: Path) -> None:
    if any(folder in place(path) for folder in KERNEL_FOLDERS):
        return
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < LONGEST_FUNCTION, node.name


@pytest.mark.parametrize("path", sorted(UNIT.rglob("test_*.py")), ids=place)
def test_a_unit_test_lies_where_its_module_does(path: Path) -> None:
    below = path.relative_to(UNIT)
    package = ROOT / "src" if below.parts[0] == "lmlab_studies" else PACKAGE
    name = below.name.removeprefix("test_")
    assert (package / below.parent / name).is_file() or (
        package / below.parent / name.removesuffix(".py") / "__init__.py"
    ).is_file()


@pytest.mark.parametrize("path", modules(), ids=place)
def test_a_module_of_some_length_has_a_test_of_its_name(path: Path) -> None:
    if len(path.read_text("utf-8").splitlines()) <= LEAST_TESTED:
        return
    name = path.parent.name if path.name == "__main__.py" else path.stem
    found = [test for test in (ROOT / "tests").rglob(f"test_{name}.py")]
    assert found, f"no tests/**/test_{name}.py"
