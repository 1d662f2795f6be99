"""Each file of an option lists every parameter of its target that has a default.

Where a file lists a parameter, ``--cfg job`` shows it, an override of it is checked, and the run
records its value.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from lmlab.config.paths import conf_folder
from lmlab.config.target_validation import OFFERED, SUPPLIED

# Parameters with a default that no file may set, by target, and why.
EXCEPTIONS = {
    ("lmlab_studies.unicode.unicode_text", "tokenizer"): "an object, which only code can give",
    **{
        (f"lmlab.optim.lr_schedule.{schedule}", name): (
            "another spelling of warmup_steps, which a schedule of one's own need not take: "
            "schedule=constant schedule._target_=my_schedule keeps the rest of the file"
        )
        for schedule in ("constant", "linear", "cosine", "wsd", "inverse_sqrt")
        for name in ("warmup", "warmup_tokens")
    },
}


def options() -> list[str]:
    """The files of options that have a target, below the folder of configurations."""
    groups = {key.replace(".", "/") for key in SUPPLIED}
    files = sorted(conf_folder().rglob("*.yaml"))
    names = [path.relative_to(conf_folder()).as_posix() for path in files]
    return [name for name in names if name.rpartition("/")[0] in groups and components(name)]


def components(name: str) -> list[tuple[str, dict[str, Any]]]:
    """The nodes with a target in a file, each with the dotted key that it fills."""
    return list(_components(read(name), name.rpartition("/")[0].replace("/", ".")))


def _components(content: dict[str, Any], key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if "_target_" in content:
        yield key, content
    for name, node in content.items():
        if isinstance(node, dict):  # a file for the root of the configuration names the group
            yield from _components(node, name if name == key else f"{key}.{name}")


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((conf_folder() / name).read_text()) or {}
    return found


def parameters_with_a_default(target: str) -> set[str]:
    module, _, name = target.rpartition(".")
    signature = inspect.signature(getattr(importlib.import_module(module), name))
    return {
        name
        for name, parameter in signature.parameters.items()
        if parameter.default is not parameter.empty
    }


def inherited(name: str) -> set[str]:
    """The keys of the options that a file begins with, and of the groups that fill its nodes."""
    found: set[str] = set()
    for entry in read(name).get("defaults", []):
        if isinstance(entry, dict):
            found |= {str(key).rpartition(" ")[2].strip("/") for key in entry}
        elif entry != "_self_":
            other = f"{name.rpartition('/')[0]}/{entry}.yaml"
            found |= set(read(other)) | inherited(other)
    return found


@pytest.mark.parametrize("name", options())
def test_a_file_lists_every_parameter_with_a_default(name: str) -> None:
    for key, node in components(name):
        target = node["_target_"]
        excepted = {parameter for other, parameter in EXCEPTIONS if other == target}
        supplied = {*SUPPLIED[key], *OFFERED.get(key, ())}
        expected = parameters_with_a_default(target) - supplied - excepted
        missing = sorted(expected - set(node) - inherited(name))
        assert not missing, f"add {', '.join(missing)} of {target} to conf/{name}, with its default"


@pytest.mark.parametrize("target", [target for target, _ in EXCEPTIONS])
def test_every_exception_is_needed(target: str) -> None:
    names = {name for other, name in EXCEPTIONS if other == target}
    assert names <= parameters_with_a_default(target)


def test_every_group_is_looked_at() -> None:
    """A file that the check does not read would list nothing."""
    assert {name.rpartition("/")[0] for name in options()} == {
        key.replace(".", "/") for key in SUPPLIED
    }
