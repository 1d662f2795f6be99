"""Signatures read from source, compared with those that Python reports."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
from hydra.utils import get_object

from lmlab.config.paths import conf_folder
from lmlab.config.signatures import Signature, names_in, read_docstring, read_signature


def targets() -> list[str]:
    found = set()
    for path in conf_folder().rglob("*.yaml"):
        for line in path.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "_target_" and value.strip().startswith(("lmlab.", "lmlab_studies.")):
                found.add(value.strip())
    return [*sorted(found), "torch.optim.AdamW", "torch.optim.SGD", "torch.optim.adam.Adam"]


@pytest.mark.parametrize("target", targets())
def test_a_signature_read_from_source_is_that_of_the_imported_object(target: str) -> None:
    signature = read_signature(target)
    assert signature is not None
    real = inspect.signature(get_object(target)).parameters.values()
    named = [p for p in real if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    assert list(signature.parameters) == [p.name for p in named]
    assert [p.has_default for p in signature.parameters.values()] == [
        p.default is not p.empty for p in named
    ]
    assert signature.takes_any == any(p.kind is p.VAR_KEYWORD for p in real)


@pytest.mark.parametrize("target", targets())
def test_a_docstring_read_from_source_is_that_of_the_imported_object(target: str) -> None:
    if target.startswith(("lmlab.", "lmlab_studies.")):
        found = inspect.getdoc(get_object(target)) or ""
        assert inspect.cleandoc(read_docstring(target)) == found


def test_a_module_of_torch_without_a_constructor_takes_nothing() -> None:
    assert read_signature("torch.nn.Module") == Signature({}, takes_any=False)


def test_reading_imports_nothing() -> None:
    script = (
        "import sys; from lmlab.config.signatures import *\n"
        "read_signature('lmlab.nn.norm.PreRMSNorm'); names_in('lmlab.optim.muon')\n"
        "print({'torch', 'lmlab.nn', 'lmlab.optim'} & sys.modules.keys())"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "set()\n"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nothing_of_this_name.a.B", "no package named 'nothing_of_this_name'"),
        ("lmlab.nn.nrom.PreRMSNorm", r"no module named 'lmlab\.nn\.nrom'"),
        ("lmlab.nn.norm.PreRMSNrom", r"module 'lmlab\.nn\.norm' has no class or function"),
    ],
)
def test_a_target_that_does_not_exist_is_named(target: str, message: str) -> None:
    with pytest.raises(LookupError, match=message):
        read_signature(target)


def test_names_of_a_module_are_its_public_classes_and_functions() -> None:
    assert names_in("lmlab.optim.lr_schedule") == [
        "constant",
        "linear",
        "cosine",
        "wsd",
        "inverse_sqrt",
    ]
    assert names_in("lmlab.optim.nothing") == []
