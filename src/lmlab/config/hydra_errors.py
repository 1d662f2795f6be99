"""Errors of Hydra and OmegaConf as messages that name the setting, its value and the fix."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lmlab.config.config_loader import compose_files
from lmlab.config.group_selection import is_group, rewrite_all
from lmlab.config.open_mappings import open_mapping
from lmlab.config.paths import conf_folder, user_settings_file
from lmlab.config.unknown_settings import LIST_SETTINGS, unknown_option, unknown_setting
from lmlab.config.user_settings import search_path
from lmlab.errors import ConfigError, UserError, suggestion

_TYPE_NAMES = {"Integer": "an integer", "Float": "a number", "bool": "true or false"}


@contextlib.contextmanager
def translate_hydra_errors(overrides: Sequence[str], folder: Path | None = None) -> Iterator[None]:
    """Raise composition errors of the block as :class:`ConfigError` with key, value and fix.

    Args:
        overrides: as typed, to be quoted in messages.
        folder: the configuration files; by default lmlab's own.
    """
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, UserError):  # raised by one of lmlab's resolvers
                raise cause from None
            cause = cause.__cause__ or cause.__context__
        raise explain(error, overrides, folder or conf_folder()) from error
    except AssertionError as error:  # OmegaConf, of a key below a node that is null
        if "Unexpected type" not in str(error):
            raise
        raise _below_null(overrides) from error
    except ValueError as error:  # Hydra, of group=3
        if "Config group override must be a string" not in str(error):
            raise
        raise _not_an_option(overrides, folder or conf_folder()) from error


def explain(error: Exception, overrides: Sequence[str], folder: Path) -> ConfigError:
    """Return the error that reports a composition error to the user."""
    chain = _chain(error)
    text = "\n".join(chain)
    option = re.search(r"Could not (?:find|load) '([^']+)'", text)
    if option:
        return _unknown_option(option[1], folder)
    group = re.search(r"Could not override '([^']+)'", text)
    if group:
        return _unknown_key(group[1].partition("@")[0], overrides, folder)
    added = re.search(
        r"Multiple values for ([\w/]+)\. To override|force-add of config groups.*'\++([\w/]+)=",
        text,
    )
    if added:
        return _added_option(added[1] or added[2], overrides)
    key = _full_key(error) or _first_group(text, r"full_key: (\S+)")
    below = [o for o in overrides if key and o.lstrip("+").startswith(f"{key}.")]
    if below and re.search(r"\$VALUE|Value '\{", text):
        return ConfigError(f"{below[0]}: unknown setting; {key} holds one value", LIST_SETTINGS)
    unknown = re.search(r"Key '([^']+)' (?:not in|is not in struct)", text)
    if unknown:
        return _unknown_key(key or unknown[1], overrides, folder)
    value_error = _value_error(text, key)
    if value_error:
        return value_error
    sweep = re.search(r"Sweep parameters '([^\n]+)' requires --multirun", text)
    if sweep:
        return ConfigError(f"{sweep[1]}: several values", "add -m to sweep over them")
    ambiguous = re.search(r"Ambiguous value for argument '([^\n]+)'", text)
    if ambiguous:
        return _ambiguous_value(ambiguous[1])
    malformed = [override for override in overrides if not _parses(override)]
    if malformed:
        return _malformed_override(malformed[0])
    first = " ".join(chain[-1].split())
    return ConfigError(f"{key}: {first}" if key and key not in first else first)


def _added_option(group: str, overrides: Sequence[str]) -> ConfigError:
    """The error for ``+`` before a group that has an option already."""
    dotted = group.replace("/", ".")
    given = [o for o in overrides if o.startswith("+") and o.lstrip("+").partition("=")[0] == group]
    option = given[-1].partition("=")[2] if given else "<option>"
    plus = "+" * (len(given[-1]) - len(given[-1].lstrip("+"))) if given else "+"
    return ConfigError(
        f"{plus}{dotted}={option}: expected no {plus}, which adds a group: {dotted} has an option",
        f"write {dotted}={option}",
    )


def _below_null(overrides: Sequence[str]) -> ConfigError:
    """The error for a setting of a node that is null."""
    for given in overrides:
        key, _, _ = given.lstrip("+~").partition("=")
        first = key.partition(".")[0]
        if first in ("design", "ladder", "demo") and "." in key:
            advice = f"select one: experiment=..., or {first}=<option>"
            typed = given.lstrip("+")  # open mappings get ++
            return ConfigError(f"{typed}: {first} is null, and has no settings", advice)
    return ConfigError("a setting belongs to a node that is null", LIST_SETTINGS)


def _not_an_option(overrides: Sequence[str], folder: Path) -> ConfigError:
    """The error for a group that gets a number, true, false or null."""
    for given in overrides:
        if _selects(given, folder) and _parses(given):
            parsed = OverridesParser.create().parse_override(given)
            if not isinstance(parsed.value(), str):
                return _unknown_option(given.lstrip("+~").replace("=", "/", 1), folder)
    return ConfigError("a config group needs the name of an option", LIST_SETTINGS)


def _value_error(text: str, key: str | None) -> ConfigError | None:
    """The error for a value that is missing, null, of the wrong type, or cannot be resolved."""
    variable = re.search(r"Environment variable '([^']+)' not found", text)
    if variable:
        return ConfigError(
            f"{key}: the environment variable {variable[1]} is not set",
            f"export {variable[1]}=..., or write ${{oc.env:{variable[1]},DEFAULT}}",
        )
    resolver = re.search(r"Unsupported interpolation type (\S+)", text)
    if resolver:
        return ConfigError(
            f"{key}: no resolver is called {resolver[1]}",
            "register it with OmegaConf.register_new_resolver in the module resolvers of a package "
            f"that trusted_packages in {user_settings_file()} names",
        )
    missing = re.search(r"Missing mandatory value: (\S+)", text)
    if missing:  # `key` is the setting that was read; it may interpolate the missing one
        name = missing[1] if "while resolving interpolation" in text else key or missing[1]
        return ConfigError(f"{name}: missing required setting", f"set {name}=...")
    refused = r"Value '(.*?)'.* (?:could not be converted to|is not a valid) (\w+)"
    value = re.search(refused, text, flags=re.DOTALL)
    if value:
        return ConfigError(f"{key}={value[1]}: expected {_TYPE_NAMES.get(value[2], value[2])}")
    null = re.search(r"(?:field|Non optional field) '([^']+)' (?:is not Optional|cannot be)", text)
    if null:
        return ConfigError(f"{key or null[1]}=null: expected a value other than null")
    return None


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


def _first_group(text: str, pattern: str) -> str | None:
    found = re.search(pattern, text)
    return found[1] if found else None


def _parses(override: str) -> bool:
    return _parse_error(override) is None


def _parse_error(override: str) -> str | None:
    """Hydra's message about a malformed override; None for a valid one."""
    try:
        OverridesParser.create().parse_override(open_mapping(override))
    except HydraException as error:
        return str(error)
    return None


def _quoting(given: str) -> str:
    return f"write {shlex.quote(_quoted(given))} if this is a text"


def _malformed_override(given: str) -> ConfigError:
    given = given.removeprefix("++")  # of lmlab's own for a mapping with free keys
    key, _, value = given.partition("=")
    if (
        key.startswith(("design.arms.", "design.factors.", "design.changes."))
        and "=" in value
        and "[" not in value
    ):
        return ConfigError(f"{given}: expected a list", f"write \"{key}=['{value}']\"")
    if key in ("study", "arm"):
        words = re.sub(r"[^A-Za-z0-9._+-]+", "-", value).strip("-")
        return ConfigError(
            f"{given}: expected a folder name of letters, digits and . _ + -",
            f"write {key}={words}" if words else None,
        )
    message = f"{given}: invalid override"
    if value.startswith(("[", "{")) and "=" in value:
        return ConfigError(message, "quote an override in a list, as in key=['model.norm=post']")
    if value.startswith(("[", "{")):
        return ConfigError(message, f"quote a string in a list, as in '{key}=[\"one (1).txt\"]'")
    call = re.search(r"while evaluating '[^\n]*': (.*)", _parse_error(given) or "", flags=re.DOTALL)
    if call:
        return ConfigError(f"{given}: {' '.join(call[1].split())}", _quoting(given))
    if value and _parses(_quoted(given)):
        return ConfigError(
            message, f"quote a value with special characters twice: {shlex.quote(_quoted(given))}"
        )
    return ConfigError(f"{message}; expected key=value", LIST_SETTINGS)


def _ambiguous_value(given: str) -> ConfigError:
    key, _, value = given.partition("=")
    return ConfigError(
        f"{given}: ambiguous value",
        f"write {shlex.quote(_quoted(given))} for one string, {shlex.quote(f'{key}=[{value}]')} "
        "for a list, or add -m to sweep over the values",
    )


def _quoted(given: str) -> str:
    """An override with its value in Hydra's quotes."""
    key, _, value = given.partition("=")
    escaped = value.replace('"', '\\"')
    return f'{key}="{escaped}"'


def _unknown_option(choice: str, folder: Path) -> ConfigError:
    group, _, option = choice.rpartition("/")
    folders = [folder, *search_path()]
    options = sorted(path.stem for each in folders for path in (each / group).glob("*.yaml"))
    if not group or not options:
        near = suggestion(choice, _groups(folder))
        return ConfigError(f"{choice}: unknown config group or file", near or LIST_SETTINGS)
    return unknown_option(group, option, options)


def _unknown_key(key: str, overrides: Sequence[str], folder: Path) -> ConfigError:
    dotted = key.replace("/", ".")
    given = next((o for o in overrides if o.lstrip("+~").partition("=")[0] == key), dotted)
    return unknown_setting(given, dotted, known_keys(folder, overrides))


def _groups(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_dir()]


def known_keys(folder: Path, overrides: Sequence[str] = ()) -> list[str]:
    """Return every dotted key of the chosen options, and the names of the groups.

    Args:
        folder: the configuration files.
        overrides: as typed; those that select options count, where all of these exist.
    """
    chosen = [each for each in rewrite_all(overrides, [folder]) if _selects(each, folder)]
    try:
        config, _ = compose_files(folder, "train", chosen)
    except (HydraException, OmegaConfBaseException):
        config, _ = compose_files(folder, "train")
    found: list[str] = []

    def walk(node: DictConfig, prefix: str) -> None:
        for key in node:
            name = f"{prefix}{key!s}"
            found.append(name)
            if not OmegaConf.is_missing(node, key) and isinstance(node[key], DictConfig):
                walk(node[key], f"{name}.")

    walk(config, "")
    return found + [group.replace("/", ".") for group in _groups(folder)]


def _selects(override: str, folder: Path) -> bool:
    return is_group(override.partition("=")[0].lstrip("+~"), [folder])
