from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lmlab.build import numerics
from lmlab.build.numeric_files import numeric_files, record_of
from lmlab.build.numerics import compare, numeric_code
from lmlab.config import source_lookup

FILES = {
    "__init__.py": "", "nn/__init__.py": "",
    "nn/ffn.py": "from lmlab.nn.init import scale\n\n\nclass GELU:\n    x = 1\n",
    "nn/init.py": "def scale(): return 1\n", "nn/kernel.cpp": "int a;\n",
}  # fmt: skip


@pytest.fixture
def edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, str]]:
    """Edit a small package that is recorded; return the code of a run with a layer."""
    package = tmp_path / "lmlab"

    def write(name: str, text: str | None) -> None:
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True) if text is None else path.write_text(text)

    for name, text in FILES.items():
        write(name, text)
    record = {name: record_of(name, path.read_bytes())
              for name, path in numeric_files(package).items()}  # fmt: skip
    monkeypatch.setattr(numerics, "PACKAGE", package)

    def find(name: str) -> Path:
        base = package.parent.joinpath(*name.split("."))
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            if path.is_file():
                return path
        raise LookupError(name)

    monkeypatch.setattr(source_lookup, "_find_source", find)

    def code(layer: str, edits: dict[str, str | None] | None = None) -> dict[str, str]:
        for name, text in (edits or {}).items():
            write(name, text)
        source_lookup.read_module.cache_clear()
        changes = compare(record, numeric_files(package))
        monkeypatch.setattr(numerics, "unrecorded_changes", lambda: changes)
        return numeric_code({"model": {"layers": [{"_target_": f"lmlab.{layer}"}]}})

    yield code
    source_lookup.read_module.cache_clear()


def test_recorded_files_change_nothing_whatever_their_formatting(edit) -> None:
    text = '"""Doc."""\n' + FILES["nn/ffn.py"].replace("x = 1", "x = (1)  # one")
    assert edit("nn.ffn.GELU") == {}
    assert edit("nn.ffn.GELU", {"nn/ffn.py": text}) == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nn/ffn.py", FILES["nn/ffn.py"].replace("x = 1", "x = 2")),
        ("nn/init.py", "def scale(): return 2\n"),
        ("nn/kernel.cpp", "int b;\n"),
        ("nn/init.py", None),
    ],
)
def test_a_changed_file_counts_for_every_run(edit, name: str, text: str | None) -> None:
    assert list(edit("nn.other.Layer", {name: text})) == [name]


def test_an_added_class_counts_for_runs_that_name_it(edit) -> None:
    text = FILES["nn/ffn.py"] + "\n\nclass ReLU:\n    y = 1\n"
    assert edit("nn.ffn.GELU", {"nn/ffn.py": text}) == {}
    first = edit("nn.ffn.ReLU")
    assert list(first) == ["nn/ffn.py"]
    assert edit("nn.ffn.ReLU", {"nn/ffn.py": text.replace("y = 1", "y = 2")}) != first
    assert edit("nn.ffn.ReLU", {"nn/ffn.py": "# text\n" + text}) == first


def test_an_added_class_that_is_exported_again_is_found(edit) -> None:
    text = FILES["nn/ffn.py"] + "\n\nclass ReLU:\n    y = 1\n"
    first = edit(
        "nn.ReLU", {"nn/ffn.py": text, "nn/__init__.py": "from lmlab.nn.ffn import ReLU\n"}
    )
    assert "nn/ffn.py" in first
    assert edit("nn.ReLU", {"nn/ffn.py": text.replace("y = 1", "y = 2")}) != first


def test_a_new_file_counts_where_it_is_used(edit) -> None:
    new = "from lmlab.nn.helper import f\nclass ReLU: ...\n"
    assert edit("nn.ffn.GELU", {"nn/relu.py": new, "nn/helper.py": "def f(): ...\n"}) == {}
    assert edit("nn.relu.ReLU").keys() == {"nn/relu.py", "nn/helper.py"}
    changed = "from lmlab.nn.relu import ReLU\n" + FILES["nn/ffn.py"].replace("x = 1", "x = ReLU")
    assert edit("nn.ffn.GELU", {"nn/ffn.py": changed}).keys() == {
        "nn/ffn.py", "nn/relu.py", "nn/helper.py",
    }  # fmt: skip


def test_a_target_outside_what_computes_counts(edit) -> None:
    assert edit("study.mine.ReLU", {"study/mine.py": "class ReLU: ...\n"}).keys() == {
        "study/mine.py"
    }
