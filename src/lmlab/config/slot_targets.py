"""Which classes and functions a component of a configuration may name.

A configuration may come from elsewhere, as the ``config.yaml`` of a copied run folder does. Each
slot, such as ``model.norm``, therefore accepts only what is meant for it:

- of lmlab, the targets of the slot's option files in ``conf/``;
- of torch, subclasses of ``torch.optim.Optimizer``, as ``optim``;
- of a package that the user trusts, classes, and functions that take what lmlab supplies to the
  slot. They must be defined in the package: what it imports from elsewhere does not count.

Nothing is imported to decide this, except a module of a trusted package whose source does not show
what the target is.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lmlab.config.mixture_settings import SOURCES
from lmlab.config.paths import conf_folder, user_settings_file
from lmlab.config.several_options import GROUPS
from lmlab.config.signatures import names_in, signature_of
from lmlab.config.source_lookup import Definition, NotInSource, find_definition, find_expression
from lmlab.config.user_settings import search_path, trusted_packages
from lmlab.errors import ConfigError, suggestion

_LMLAB = ("lmlab.", "lmlab_studies.")
_TORCH = "torch.optim."
_OPTIMIZER = "torch.optim.optimizer.Optimizer"
_TRUSTED = (*_LMLAB, _TORCH)
# Targets of options that fill a slot from another group: model=imported sets model.init.
_OF_OTHER_GROUPS = {"model.init": ("lmlab.hf.weights.Imported",)}
# Slots that a user's package cannot fill.
_WITHOUT_OWN = ("design", "ladder")
_CALLBACKS = "callbacks"
_OPTIMIZER_GROUPS = "optim.groups["
_MODEL_SLOTS = (
    "model.norm", "model.pos", "model.ffn", "model.attention", "model.init", "model.param",
)  # fmt: skip
_TARGET = re.compile(r"^\s*_target_:\s*['\"]?([\w.]+)", re.MULTILINE)


def check_slot(path: str, target: str, supplied: Sequence[str], may_import: bool = True) -> None:
    """Check that a component names a target that is meant for its slot.

    Args:
        path: dotted key of the component.
        target: its ``_target_``.
        supplied: the parameters that the program computes.
        may_import: whether to import a module of a trusted package whose source does not show what
            the target is; otherwise such a target passes.

    Raises:
        ConfigError: the target is in no trusted package, does not exist, or is meant for something
            else.
    """
    # Nodes of several components: callbacks, and groups that take several options.
    first = path.partition(".")[0]
    slot = first if first in (_CALLBACKS, *GROUPS) else path
    slot = "optim" if path.startswith(_OPTIMIZER_GROUPS) else slot
    slot = "data" if path.startswith(f"{SOURCES}.") else slot
    if target in _registered(slot, (conf_folder(),)):
        return
    check_trust(path, target)
    if target in registered(slot):
        return
    given = f"{path}._target_={target}"
    found = _definition(path, target)
    if target.startswith(_LMLAB) or slot in _WITHOUT_OWN:
        raise _not_of_slot(given, slot)
    if target.startswith(_TORCH):
        if slot != "optim" or found is None or not _is_optimizer(found):
            raise _not_of_slot(given, slot)
        return
    if found is not None:
        _check_own(given, found, slot, supplied)
    elif may_import:
        _check_imported(given, target, slot)


def check_nested(path: str, value: Any, may_import: bool = True) -> None:
    """Check the targets inside the parameters of a component, which may build them itself.

    Raises:
        ConfigError: one is neither an option of lmlab nor defined in a package of the user.
    """
    if isinstance(value, list):
        for index, item in enumerate(value):
            check_nested(f"{path}[{index}]", item, may_import)
    elif isinstance(value, dict):
        for key, inner in value.items():
            check_nested(f"{path}.{key}", inner, may_import)
        target = value.get("_target_")
        if target is not None:
            check_nested_target(path, target, may_import)


def check_nested_target(path: str, target: Any, may_import: bool = True) -> None:
    """Check one target that is no component of lmlab itself, such as a callback of Hydra.

    Raises:
        ConfigError: it is no class of a user's package, no optimizer of torch, and no layer, norm,
            position encoding, initialization or parametrization of lmlab.
    """
    if not isinstance(target, str):
        raise ConfigError(f"{path}._target_={target}: expected the dotted path of a class")
    check_trust(path, target)
    if any(target in registered(slot) for slot in _MODEL_SLOTS):
        return
    given = f"{path}._target_={target}"
    found = _definition(path, target)
    if found is not None and _is_optimizer(found):
        return
    if target.startswith(_TRUSTED):
        raise ConfigError(
            f"{given}: expected a class of your own or a part of a model",
            "name a class of one of your trusted_packages",
        )
    if found is None:
        if may_import:
            _check_imported(given, target, "")
        return
    _check_home(given, found.path)
    if not isinstance(found.node, ast.ClassDef):
        raise ConfigError(f"{given}: expected a class, found a function", "name a class")


def check_trust(path: str, target: str) -> None:
    """Raise :class:`ConfigError` where ``target`` is in no trusted package."""
    if not target.startswith((*_TRUSTED, *_users_packages())):
        trusted = ", ".join((*_TRUSTED, *_users_packages()))
        shown = target if target.isprintable() else repr(target)
        raise ConfigError(
            f"{path}._target_={shown}: expected a target in one of {trusted}",
            f"if it is your own, add {target.partition('.')[0]} to trusted_packages in "
            f"{user_settings_file()}",
        )
    if not all(part.isidentifier() for part in target.split(".")):
        raise ConfigError(f"{path}._target_={target}: expected the dotted path of a class")


def _users_packages() -> tuple[str, ...]:
    """Return the packages that the user trusts, each as the beginning of a dotted path."""
    return tuple(f"{package}." for package in trusted_packages())


def registered(slot: str) -> frozenset[str]:
    """Return the targets in the option files of a slot, of lmlab and of the user's folders."""
    return _registered(slot, (conf_folder(), *search_path()))


@functools.cache
def _registered(slot: str, folders: tuple[Path, ...]) -> frozenset[str]:
    group = slot.replace(".", "/")
    files = [file for folder in folders for file in (folder / group).glob("*.yaml")]
    texts = (file.read_text("utf-8", errors="replace") for file in files)
    found = {target for text in texts for target in _TARGET.findall(text)}
    own = {target for target in found if target.startswith(_LMLAB)}
    return frozenset(own | {*_OF_OTHER_GROUPS.get(slot, ())})


def _not_of_slot(given: str, slot: str) -> ConfigError:
    valid = sorted(registered(slot))
    torch = ["torch.optim.<optimizer>"] if slot == "optim" else []
    own = [] if slot in _WITHOUT_OWN else ["one of your trusted_packages"]
    key = slot.replace(".", "/")
    choice = f"set {slot}=<option>; see the folder conf/{key}"
    return ConfigError(
        f"{given}: expected a target that is meant for {slot}: {', '.join(valid + torch + own)}",
        choice,
    )


def _definition(path: str, target: str) -> Definition | None:
    """Find a target in source code; None where that does not show it."""
    module, _, name = target.rpartition(".")
    try:
        return find_definition(module, name)
    except NotInSource:
        return None
    except LookupError as error:
        raise no_such_target(path, target, error) from None


def no_such_target(path: str, target: str, error: LookupError) -> ConfigError:
    """Return the error for a target that does not exist, which suggests a similar name."""
    module, _, name = target.rpartition(".")
    return ConfigError(f"{path}._target_={target}: {error}", suggestion(name, names_in(module)))


def _is_optimizer(found: Definition) -> bool:
    """Whether a class derives from torch's optimizer, and is not that class itself."""
    for base in found.node.bases if isinstance(found.node, ast.ClassDef) else ():
        try:
            parent = find_expression(found.module, base)
        except (LookupError, NotInSource):
            continue
        if parent.path == _OPTIMIZER or _is_optimizer(parent):
            return True
    return False


def _check_own(given: str, found: Definition, slot: str, supplied: Sequence[str]) -> None:
    """Check a class or function of a trusted package."""
    if found.path in registered(slot) or (slot == "optim" and _is_optimizer(found)):
        return
    _check_home(given, found.path)
    if isinstance(found.node, ast.ClassDef):
        return
    signature = signature_of(found)
    assert signature is not None  # of a function
    if signature.takes_any and supplied:
        return
    missing = [name for name in supplied if name not in signature.parameters]
    if slot == _CALLBACKS:
        is_meant = len(missing) < len(supplied) or not signature.parameters
        expected = f"a function that takes {', '.join(supplied[:-1])} or {supplied[-1]}"
    else:
        is_meant = bool(supplied) and not missing
        expected = f"a class, or a function that takes {', '.join(supplied)}"
    if not is_meant:
        expected = expected if supplied else "a class"
        raise ConfigError(
            f"{given}: expected {expected}", "name what docs/extending.md describes for this key"
        )


def _check_home(given: str, path: str) -> None:
    """Check that what a trusted package offers is defined in a trusted package."""
    if not path.startswith(_users_packages()):
        package = path.partition(".")[0]
        raise ConfigError(
            f"{given}: expected a class or function of a trusted package, found {path}",
            f"if you trust all of it, add {package} to trusted_packages in {user_settings_file()}",
        )


def _check_imported(given: str, target: str, slot: str) -> None:
    """Check a target of a trusted package that its source does not show, by importing it."""
    module, _, name = target.rpartition(".")
    try:
        value = getattr(importlib.import_module(module), name)
    except AttributeError:
        raise ConfigError(f"{given}: module {module!r} has no class or function {name!r}") from None
    except ImportError as error:
        raise ConfigError(f"{given}: cannot import {module!r}: {error}") from None
    while isinstance(value, functools.partial):
        value = value.func
    if not (inspect.isclass(value) or inspect.isroutine(value)):
        value = type(value)
    home = f"{value.__module__ or 'builtins'}.{getattr(value, '__qualname__', name)}"
    if home in registered(slot):
        return
    is_optimizer = inspect.isclass(value) and any(
        f"{base.__module__}.{base.__qualname__}" == _OPTIMIZER for base in value.__mro__[1:]
    )
    if not (slot == "optim" and is_optimizer):
        _check_home(given, home)
