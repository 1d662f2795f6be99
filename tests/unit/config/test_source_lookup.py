"""A target that a package re-exports is found without importing the package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lmlab.config.signatures import read_signature

FILES = {
    "__init__.py": """
from . import deep
from .deep import parts as aliased_module
from .parts import *
from .parts import Norm as Renamed
from .chain import Twice
from package_of_test.deep.inner import Deep
Assigned = Renamed
Dotted = deep.inner.Deep
Through = aliased_module.Other
try:
    from .missing_dependency import Optional
except ImportError:
    from .parts import Norm as Optional
if True:
    class Conditional:
        def __init__(self, eps: float = 1.0): ...
raise RuntimeError("imported")
""",
    "parts.py": """
__all__ = ["Norm", "Starred"]
class Norm:
    def __init__(self, eps: float = 1.0): ...
class Starred(Norm): ...
""",
    "chain.py": "from .parts import Starred as Once\nfrom .chain_end import Twice\n",
    "chain_end.py": "from package_of_test.chain import Once as Twice\n",
    "deep/__init__.py": "from . import inner, parts\n",
    "deep/inner.py": "from ..parts import Norm\nclass Deep(Norm): ...\n",
    "deep/parts.py": "from .inner import Deep as Other\n",
    "lazy/__init__.py": """
import importlib
def __getattr__(name):
    if name == "Lazy":
        return importlib.import_module("package_of_test_lazy.parts").Norm
    raise AttributeError(name)
""",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "package_of_test"
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    lazy = tmp_path / "package_of_test_lazy"
    lazy.mkdir()
    (lazy / "__init__.py").write_text(FILES["lazy/__init__.py"])
    (lazy / "parts.py").write_text(FILES["parts.py"])
    monkeypatch.syspath_prepend(tmp_path)
    return folder


@pytest.mark.parametrize(
    "name",
    [
        "Norm", "Starred", "Renamed", "Twice", "Deep", "Assigned", "Dotted", "Through", "Optional",
        "Conditional",
    ],
)  # fmt: skip
def test_a_name_is_followed_to_its_definition(package: Path, name: str) -> None:
    signature = read_signature(f"package_of_test.{name}")
    assert signature is not None
    assert list(signature.parameters) == ["eps"]
    assert "package_of_test" not in sys.modules  # importing it would raise


def test_only_a_lazy_package_is_imported(package: Path) -> None:
    signature = read_signature("package_of_test_lazy.Lazy")
    assert signature is not None
    assert signature.parameters["eps"].annotation == "float"
    with pytest.raises(LookupError, match="has no class or function 'Other'"):
        read_signature("package_of_test_lazy.Other")


def test_a_name_that_no_star_brings_does_not_exist(package: Path) -> None:
    with pytest.raises(LookupError, match="has no class or function 'Nrom'"):
        read_signature("package_of_test.Nrom")


def test_torch_is_read_and_not_imported() -> None:
    script = (
        "import sys; from lmlab.config.signatures import read_signature\n"
        "print(*list(read_signature('torch.optim.AdamW').parameters)[:2])\n"
        "print('size_average' in read_signature('torch.nn.CrossEntropyLoss').parameters)\n"
        "print('torch' in sys.modules)"
    )
    printed = subprocess.check_output([sys.executable, "-c", script], text=True)
    assert printed == "params lr\nTrue\nFalse\n"
