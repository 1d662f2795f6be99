"""Hydra's and OmegaConf's errors, told in terms of the user's own words."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lmlab.config.deprecated_keys import RETIRED
from lmlab.config.user_settings import search_path
from lmlab.errors import ConfigError, UserError, did_you_mean

_HELP = "python -m lmlab.train --help lists the settings"


@contextlib.contextmanager
def translate_hydra_errors(overrides: Sequence[str], folder: Path) -> Iterator[None]:
    """Turn composition errors inside into :class:`ConfigError` with key, value and fix."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, UserError):  # raised by a resolver of ours
                raise cause from None
            cause = cause.__cause__ or cause.__context__
        raise ConfigError(explain(error, overrides, folder)) from error


def explain(error: Exception, overrides: Sequence[str], folder: Path) -> str:
    """One message for a composition error."""
    chain = _chain(error)
    text = "\n".join(chain)
    option = re.search(r"Could not find '([^']+)'", text)
    if option:
        return _no_such_option(option[1], folder)
    group = re.search(r"Could not override '([^']+)'", text)
    if group:
        return _no_such_key(group[1].partition("@")[0], overrides, folder)
    key = _full_key(error) or _between(text, r"full_key: (\S+)")
    unknown = re.search(r"Key '([^']+)' (?:not in|is not in struct)", text)
    if unknown:
        return _no_such_key(key or unknown[1], overrides, folder)
    missing = re.search(r"Missing mandatory value: (\S+)", text)
    if missing:  # the key is of what was asked for, which may be taken from what is missing
        name = missing[1] if "while resolving interpolation" in text else key or missing[1]
        return f"{name} is missing; set {name}=..."
    refused = r"Value '(.*?)'.* (?:could not be converted to|is not a valid) (\w+)"
    value = re.search(refused, text, flags=re.DOTALL)
    if value:
        return f"{key}={value[1]}: accepted is {_kind(value[2])}"
    null = re.search(r"(?:field|Non optional field) '([^']+)' (?:is not Optional|cannot be)", text)
    if null:
        return f"{key or null[1]}=null: a value is needed"
    several = re.search(r"Ambiguous value for argument '([^\n]+)'", text)
    if several:
        return _several_values(several[1])
    grammar = [override for override in overrides if not _parses(override)]
    if grammar:
        return _no_override(grammar[0])
    first = " ".join(chain[-1].split())
    return f"{key}: {first}" if key and key not in first else first


def _chain(error: BaseException | None) -> list[str]:
    texts = []
    while error is not None:
        texts.append(str(error))
        error = error.__cause__ or error.__context__
    return texts


def _full_key(error: BaseException | None) -> str | None:
    while error is not None:
        key = getattr(error, "full_key", None)
        if key:
            return str(key)
        error = error.__cause__ or error.__context__
    return None


def _between(text: str, pattern: str) -> str | None:
    found = re.search(pattern, text)
    return found[1] if found else None


def _parses(override: str) -> bool:
    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        return False
    return True


def _no_override(given: str) -> str:
    key, _, value = given.partition("=")
    told = f'"{given}" is no override'
    if value.startswith(("[", "{")) and "=" in value:
        return f"""{told}; an override within a list is quoted, as in key=['model.norm=post']"""
    if value.startswith(("[", "{")):
        return f"""{told}; a text within a list is quoted, as in '{key}=["one (1).txt"]'"""
    if value and _parses(_quoted(given)):
        return f"{told}; a text with such signs is quoted twice: {shlex.quote(_quoted(given))}"
    return f"{told}; accepted is key=value. {_HELP}"


def _several_values(given: str) -> str:
    key, _, value = given.partition("=")
    return (
        f'"{given}" may mean three things; as one text it is {shlex.quote(_quoted(given))}, as a '
        f"list {shlex.quote(f'{key}=[{value}]')}, and for a sweep -m is added"
    )


def _quoted(given: str) -> str:
    """An override with its value in Hydra's quotes."""
    key, _, value = given.partition("=")
    escaped = value.replace('"', '\\"')
    return f'{key}="{escaped}"'


def _kind(name: str) -> str:
    kinds = {"Integer": "a whole number", "Float": "a number", "bool": "true or false"}
    return kinds.get(name, name)


def _no_such_option(choice: str, folder: Path) -> str:
    group, _, option = choice.rpartition("/")
    places = [folder, *search_path()]
    options = sorted(path.stem for place in places for path in (place / group).glob("*.yaml"))
    if not group or not options:
        near = did_you_mean(choice, _groups(folder))
        return _with_help(f"{choice}: there is no such config group or file{near}")
    return f"{group}={option}: accepted are {', '.join(options)}{did_you_mean(option, options)}"


def _no_such_key(key: str, overrides: Sequence[str], folder: Path) -> str:
    dotted = key.replace("/", ".")
    given = next((o for o in overrides if o.lstrip("+~").partition("=")[0] == key), dotted)
    return no_such_setting(given, dotted, known_keys(folder))


def no_such_setting(given: str, key: str, known: Sequence[str]) -> str:
    """Say that the dotted ``key``, which was ``given`` so, is none of the ``known`` ones."""
    if key in RETIRED:
        return f"{key}: there is no such setting any more; use {RETIRED[key]}"
    parent, _, own = key.rpartition(".")
    siblings = sorted({name for name in known if name.rpartition(".")[0] == parent})
    # Names are compared without what stands before them, which all siblings share.
    elsewhere = [name for name in known if name.rpartition(".")[2] == own]
    alike = [name for name in siblings if did_you_mean(own, [name.rpartition(".")[2]])]
    near = did_you_mean(key, elsewhere or alike)
    accepted = f"; accepted here are {', '.join(siblings)}" if siblings and parent else ""
    return _with_help(f"{given}: there is no setting {key}{accepted}{near}")


def _with_help(told: str) -> str:
    return f"{told if told.endswith('?') else f'{told}.'} {_HELP}"


def _groups(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_dir()]


def known_keys(folder: Path) -> list[str]:
    """Every dotted key of the default configuration, and the names of the groups."""
    if GlobalHydra.instance().is_initialized():
        config = compose("train")
    else:
        with initialize_config_dir(str(folder), version_base="1.3"):
            config = compose("train")
    found: list[str] = []

    def walk(node: DictConfig, prefix: str) -> None:
        for key in node:
            name = f"{prefix}{key!s}"
            found.append(name)
            if not OmegaConf.is_missing(node, key) and isinstance(node[key], DictConfig):
                walk(node[key], f"{name}.")

    walk(config, "")
    return found + [group.replace("/", ".") for group in _groups(folder)]
