from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lmlab.config.class_constants import class_constant

SOURCE = """
from other_parts import Far as Base

def build():
    is_stackable = False

class Plain:
    pass

class Declares:
    is_stackable = False

class Annotated:
    is_stackable: bool = True

class Computed:
    is_stackable = len("x") > 3

class Inherits(Plain, Declares):
    pass

class Overrides(Declares):
    is_stackable = True

class OfAnotherModule(Base):
    pass

Alias = Declares
"""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Plain", None), ("Declares", False), ("Annotated", True), ("Inherits", False),
        ("Overrides", True), ("OfAnotherModule", False), ("Alias", False), ("build", None),
        ("Computed", None), ("Missing", None),
    ],
)  # fmt: skip
def test_a_constant_is_read_without_importing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: bool | None
) -> None:
    (tmp_path / "constant_parts.py").write_text(SOURCE)
    (tmp_path / "other_parts.py").write_text("class Far:\n    is_stackable = False\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert class_constant(f"constant_parts.{name}", "is_stackable") is value
    assert "constant_parts" not in sys.modules


def test_of_lmlabs_own_parts() -> None:
    assert class_constant("lmlab.nn.moe.MoE", "is_stackable") is False
    assert class_constant("lmlab.nn.ffn.SwiGLU", "is_stackable") is None
