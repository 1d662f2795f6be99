"""Files of overrides: ``--config mine.yaml`` sets what the command line does not.

The file is part of a configuration, in the form of an experiment's body::

    model: {norm: post}        # an option of a group
    training.steps: 1000       # a flat key
    optim:
      lr: 1.0e-3

Its settings become overrides; those on the command line take precedence.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lmlab.config.group_selection import check_choice, dotted_key, is_group
from lmlab.config.open_mappings import escape_key
from lmlab.config.paths import conf_folder
from lmlab.config.run_length import RIVALS as LENGTHS
from lmlab.config.schedule_settings import RIVALS as WARMUPS
from lmlab.config.several_options import joined_option
from lmlab.config.target_validation import SUPPLIED
from lmlab.config.user_settings import search_path
from lmlab.config.value_types import format_value
from lmlab.config.yaml_files import read_settings
from lmlab.errors import ConfigError, suggestion

_KEY = re.compile(r"[\w./-]+")
_PLAIN_TEXT = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_WORDS_WITH_A_TYPE = ("null", "true", "false", "nan", "inf", "infinity", "none")
# Nodes whose keys are parameters, of which a mapping is one value.
_PARENTS_OF_VALUES = (*SUPPLIED, "hydra.launcher", "hydra.sweeper", "hydra.job")
_RIVALS = WARMUPS | LENGTHS
_DEFAULT = re.compile(r"override /?([\w./]+)")


def read_override_file(path: Path, folders: Sequence[Path] = ()) -> list[str]:
    """Read a file of overrides.

    Args:
        path: of the YAML file.
        folders: with options, in addition to lmlab's and the user's.

    Returns:
        The overrides, as typed on a command line.

    Raises:
        ConfigError: the file cannot be read, or is not part of a configuration.
    """
    body = _read(path)
    known = [conf_folder(), *search_path(), *folders]
    try:
        overrides = [*_choices(body.pop("defaults", [])), *_sweep(body)]
        overrides += _flatten(body, "", known)
        keys = [dotted_key(override) for override in overrides]
        for key in keys:
            if keys.count(key) > 1:
                raise ConfigError(f"{key}: set twice", "remove one of the two")
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.message}", error.help) from None
    return overrides


def read_override_files(
    paths: Sequence[Path], typed: Sequence[str], folders: Sequence[Path] = ()
) -> dict[Path, list[str]]:
    """Read files of overrides, without those that the command line or a later file replaces.

    Args:
        paths: of the files; a later one takes precedence.
        typed: overrides of the command line, which take precedence over all files.
        folders: see :func:`read_override_file`.

    Returns:
        The overrides of each file that apply, in the order of ``paths``.

    Raises:
        ConfigError: see :func:`read_override_file`.
    """
    replaced = _replaced_by(typed)
    found: dict[Path, list[str]] = {}
    for path in dict.fromkeys(reversed(paths)):
        overrides = read_override_file(path, folders)
        found[path] = [override for override in overrides if dotted_key(override) not in replaced]
        replaced |= _replaced_by(found[path])
    return dict(reversed(found.items()))


def _replaced_by(overrides: Sequence[str]) -> set[str]:
    """The keys that overrides replace in a file.

    ``schedule.warmup=0.1`` replaces ``schedule.warmup_steps``, and the other way round; so do
    other lengths of the warm-up, and ``training.steps`` and the budgets in its place.
    """
    given = {dotted_key(override) for override in overrides}
    not_null = {dotted_key(o) for o in overrides if o.partition("=")[2] != "null"}
    return given.union(*(_RIVALS[key] for key in not_null & _RIVALS.keys()))


def is_whole_configuration(path: Path) -> bool:
    """Whether a file lists the defaults of a complete configuration."""
    defaults = _read(path).get("defaults") or []
    return isinstance(defaults, list) and any(name in defaults for name in ("schema", "train"))


@contextlib.contextmanager
def naming_the_file(files: dict[Path, list[str]]) -> Iterator[None]:
    """Let an error about a setting of a file name the file.

    Args:
        files: the overrides of each file that apply; see :func:`read_override_files`.
    """
    try:
        yield
    except ConfigError as error:
        key = re.split(r"[=:]", error.message, maxsplit=1)[0]
        for path, overrides in reversed(files.items()):
            keys = {dotted_key(override) for override in overrides}
            if key in keys or any(each.startswith(f"{key}.") for each in keys):
                raise ConfigError(f"{path}: {error.message}", error.help) from error
        raise


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        names = [other.name for other in path.parent.glob("*.yaml")]
        raise ConfigError(
            f"--config {path}: no such file",
            suggestion(path.name, names) or "write the path of a YAML file",
        )
    try:
        return read_settings(path)
    except ValueError as error:
        message = f"{path}: cannot read the file: {error}"
        raise ConfigError(message, "write settings as key: value, in UTF-8") from None


def _choices(defaults: Any) -> Iterator[str]:
    """The overrides of ``override /group: option`` in a defaults list."""
    for entry in defaults:
        if entry == "_self_":
            continue
        group, option = next(iter(entry.items())) if isinstance(entry, dict) else (str(entry), "")
        found = _DEFAULT.fullmatch(str(group))
        if not found or not option:
            raise ConfigError(
                f"defaults: {group}: expected override /group: option",
                "or set the option as a key: model.norm: post",
            )
        yield f"{found[1].replace('/', '.')}={joined_option(found[1], option)}"


def _sweep(body: dict[str, Any]) -> Iterator[str]:
    """The values to sweep over, which Hydra parses as typed, and the mode that they need."""
    node = body.get("hydra")
    sweeper = node.get("sweeper") if isinstance(node, dict) else None
    params = sweeper.pop("params", None) if isinstance(sweeper, dict) else None
    params = params or body.pop("hydra.sweeper.params", None) or {}
    for key, value in params.items():
        yield f"{key}={value if isinstance(value, str) else _as_typed(value)}"
    if params or any(key.partition(".")[0] == "design" for key in body):
        if isinstance(node, dict):
            node.setdefault("mode", "MULTIRUN")
        else:
            yield "hydra.mode=MULTIRUN"


def _flatten(node: dict[str, Any], prefix: str, folders: Sequence[Path]) -> Iterator[str]:
    for name, value in node.items():
        key = f"{prefix}{name}"
        if not _KEY.fullmatch(str(name)):
            raise ConfigError(f"{key}: expected a name of letters, digits, . _ - /")
        group = key.replace(".", "/")
        if is_group(group, folders) and not isinstance(value, dict):
            value = joined_option(group, value)
            check_choice(group, value)
            yield f"{key}={value}"
        elif isinstance(value, dict) and value and prefix.rstrip(".") not in _PARENTS_OF_VALUES:
            yield from _flatten(value, f"{key}.", folders)
        else:
            yield f"{key}={_as_typed(value)}"


def _as_typed(value: Any) -> str:
    """Write a value in the grammar of Hydra's overrides."""
    if isinstance(value, dict):
        pairs = (f"{escape_key(str(key))}: {_as_typed(inner)}" for key, inner in value.items())
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_as_typed, value)) + "]"
    if not isinstance(value, str):
        return format_value(value)
    if _PLAIN_TEXT.fullmatch(value) and value.lower() not in _WORDS_WITH_A_TYPE:
        return value
    # Hydra reads a backslash as itself unless a quote follows the run of backslashes it is in.
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', value)
    escaped = re.sub(r"(\\+)$", r"\1\1", escaped)
    return f'"{escaped}"'
