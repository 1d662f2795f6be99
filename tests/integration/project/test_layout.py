"""The plan of the project: what stands at the root, sizes, and a unit test beside each module."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "src" / "lmlab"
UNIT = ROOT / "tests" / "unit"
COMMANDS = {
    "train", "run", "generate", "evaluate", "tokenize", "account", "status", "report", "forecast",
    "publish",
    "compare", "completion",
}  # fmt: skip
COMMAND_PACKAGES = {"export", "judge", "outputs"}
ROOMS = {
    "accounting", "build", "config", "console", "data", "demos", "design", "distributed",
    "harness", "hf", "nn", "optim", "preflight", "records", "runs", "runtime", "storage", "study",
    "sweep",
    "tasks", "tokenizer", "tracking", "training",
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


def test_no_file_is_too_long() -> None:
    lengths = {place(path): len(path.read_text("utf-8").splitlines()) for path in python_files()}
    assert {path: length for path, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_function_is_too_long() -> None:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = []
    for path in python_files():
        if any(folder in place(path) for folder in KERNEL_FOLDERS):
            continue
        nodes = ast.walk(ast.parse(path.read_text("utf-8")))
        for function in (node for node in nodes if isinstance(node, functions)):
            assert function.end_lineno is not None
            if function.end_lineno - function.lineno >= LONGEST_FUNCTION:
                found.append(f"{place(path)}: {function.name}")
    assert found == []


def test_a_unit_test_lies_where_its_module_does() -> None:
    def has_module(path: Path) -> bool:
        below = path.relative_to(UNIT)
        package = ROOT / "src" if below.parts[0] == "lmlab_studies" else PACKAGE
        module = package / below.parent / below.name.removeprefix("test_")
        return module.is_file() or (module.with_suffix("") / "__init__.py").is_file()

    assert [place(path) for path in UNIT.rglob("test_*.py") if not has_module(path)] == []


def test_a_module_of_some_length_has_a_test_of_its_name() -> None:
    tests = {path.name for path in (ROOT / "tests").rglob("test_*.py")}

    def name(path: Path) -> str:
        return path.parent.name if path.name == "__main__.py" else path.stem

    long = (path for path in modules() if len(path.read_text("utf-8").splitlines()) > LEAST_TESTED)
    assert [place(path) for path in long if f"test_{name(path)}.py" not in tests] == []
