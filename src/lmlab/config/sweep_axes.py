"""The jobs of a multirun: Hydra's sweeps, expanded exactly, and axes that advance together.

Hydra 1.3 adds the binary values of a float range, so that ``range(0.3,0.9,0.3)`` has a third
value, 0.8999999999999999, and sorts a range by its ends, which gives other values where the step
does not divide its length. Here, a range consists of decimal numbers as written.
"""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import math
import random
import re
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from hydra._internal.grammar import grammar_functions
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser, create_functions
from hydra.core.override_parser.types import (
    ChoiceSweep,
    Glob,
    Override,
    RangeSweep,
    Sweep,
    ValueType,
)

from lmlab.config.group_selection import dotted_key
from lmlab.config.zip_arguments import ZIP_TAG, as_overrides, is_zip
from lmlab.errors import ConfigError

MAX_JOBS = 100_000
_INTERPOLATION = re.compile(r"\$\{[^{}]*\}")


def parse(
    arguments: Sequence[str], loader: ConfigLoader | None, zipped: Sequence[str] = ()
) -> list[Override]:
    """Parse overrides, of which those in a ``zip(...)`` advance together.

    Args:
        arguments: overrides in Hydra's grammar.
        loader: finds the options of ``glob(...)``.
        zipped: arguments ``zip(key=value:value, key=value:value)``.

    Raises:
        ConfigError: a ``zip(...)`` is malformed.
        HydraException: an override is malformed.
    """
    parser = OverridesParser(_functions(), loader)
    overrides = parser.parse_overrides(list(arguments))
    for number, text in enumerate(zipped):
        for override in parser.parse_overrides(as_overrides(text)):
            if not isinstance(override._value, Sweep):
                override._value = ChoiceSweep(list=[override._value])
                override.value_type = ValueType.CHOICE_SWEEP
            override._value.tags = {f"{ZIP_TAG}({number})"}
            override.input_line = text
            overrides.append(override)
    return overrides


def expand_jobs(parameters: Sequence[Override], typed: Sequence[Override]) -> list[list[str]]:
    """Return the overrides of each job: every combination of the axes.

    Args:
        parameters: overrides of ``hydra.sweeper.params``.
        typed: overrides of the command line; they replace those of the same key in ``parameters``.

    Raises:
        ConfigError: an axis would be dropped or has no values, axes of one ``zip`` differ in
            length, or there are too many jobs.
    """
    require_separate_axes(parameters)
    require_separate_axes(typed)
    chosen = {override.get_key_element(): override for override in parameters}
    for override in typed:
        other_forms = [key for key, earlier in chosen.items() if earlier in parameters]
        for key in other_forms:
            if key != override.get_key_element() and _name(chosen[key]) == _name(override):
                del chosen[key]
        chosen[override.get_key_element()] = override
    axes: dict[str, list[tuple[str, ...]]] = {}
    zipped: dict[str, list[Override]] = {}
    for key, override in chosen.items():
        tag = _zip_tag(override)
        if tag is None:
            axes[key] = [(text,) for text in _texts(override)]
        else:
            axes.setdefault(tag, [])
            zipped.setdefault(tag, []).append(override)
    for tag, members in zipped.items():
        axes[tag] = _zip(members)
    if math.prod(len(axis) for axis in axes.values()) > MAX_JOBS:
        raise ConfigError(f"expected at most {MAX_JOBS} jobs in a multirun", "sweep fewer values")
    combinations = itertools.product(*(dict.fromkeys(axis) for axis in axes.values()))
    return [[text for texts in job for text in texts] for job in combinations]


def require_separate_axes(overrides: Sequence[Override]) -> None:
    """Raise :class:`ConfigError` where an override would replace an earlier axis of its key."""
    axes: dict[str, Override] = {}
    # The order of a zip(...) among the other arguments is not known.
    zipped = {_name(each): each for each in overrides if is_zip(str(each.input_line))}
    for override in overrides:
        name = _name(override)
        if zipped.get(name, override) is not override:
            axes[name] = zipped[name]
        if name in axes:
            raise ConfigError(
                f"{override.input_line}: {axes[name].input_line} already sweeps over {name}",
                "give all values of a setting in one override",
            )
        if override.is_sweep_override():
            _require_one_kind(override)
            axes[name] = override


def _require_one_kind(override: Override) -> None:
    """Raise :class:`ConfigError` where a choice has mappings and names of options."""
    axis = override._value
    if not isinstance(axis, ChoiceSweep):
        return
    mappings = [value for value in axis.list if isinstance(value, dict)]
    if mappings and len(mappings) < len(axis.list):
        name = _name(override)
        raise ConfigError(
            f"{name}={_value_text(mappings[0])},...: a sweep cannot mix a mapping with options",
            f"save the mapping as an option, FOLDER/{name.replace('.', '/')}/mine.yaml, add "
            f"--config-dir FOLDER, and sweep over {name}=mine,...",
        )


def sweeps_over(override: Override, key: str) -> bool:
    """Whether an override sweeps over ``key``."""
    return override.is_sweep_override() and _name(override) == key


def axis_values(override: Override) -> list[str]:
    """Return the values of an axis, as you would type them. Raises :class:`ConfigError`."""
    return [_value_text(value) for value in _distinct(_values(override))]


def _name(override: Override) -> str:
    return dotted_key(override.get_key_element())


def _zip_tag(override: Override) -> str | None:
    tags = override._value.tags if isinstance(override._value, Sweep) else set()
    return next((tag for tag in sorted(tags) if tag.startswith(ZIP_TAG)), None)


def _zip(members: Sequence[Override]) -> list[tuple[str, ...]]:
    columns = [
        [f"{member.get_key_element()}={_value_text(value)}" for value in _values(member)]
        for member in members
    ]
    if len({len(column) for column in columns}) > 1:
        counts = ", ".join(
            f"{len(column)} of {_name(member)}"
            for member, column in zip(members, columns, strict=True)
        )
        raise ConfigError(
            f"zip: expected as many values of each setting, found {counts}",
            "give each setting one value per job",
        )
    return list(zip(*columns, strict=True))


def _texts(override: Override) -> list[str]:
    """The override once for each of its values."""
    key = override.get_key_element()
    if not override.is_sweep_override():
        if override.is_delete() and "=" not in (override.input_line or ""):
            return [key]
        return [f"{key}={_value_text(override._value)}"]
    return [f"{key}={text}" for text in axis_values(override)]


def _values(override: Override) -> list[Any]:
    value: Any = override._value
    found: list[Any]
    if isinstance(value, RangeSweep):
        found = list(_numbers(value, str(override.input_line)))
    elif isinstance(value, ChoiceSweep):
        found = list(value.list)
    elif isinstance(value, Glob):
        found = list(override.sweep_iterator())
    else:
        raise ConfigError(
            f"{override.input_line}: an interval has no list of values",
            "write range(start, stop, step), or values separated by commas",
        )
    if not found:
        expected = "an option that matches" if isinstance(value, Glob) else "at least one value"
        raise ConfigError(f"{override.input_line}: expected {expected}", _hint(override))
    if getattr(value, "shuffle", False):
        random.Random(override.input_line).shuffle(found)  # a rerun has the same order
    return found


def _distinct(values: Sequence[Any]) -> list[Any]:
    """Drop repeated values; equal numbers, such as 1 and 1.0, are one value."""
    found: dict[Any, Any] = {}
    for value in values:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        found.setdefault(value if is_number else _value_text(value), value)
    return list(found.values())


def _hint(override: Override) -> str:
    value: Any = override._value
    if not isinstance(value, Glob):
        return "a range stops before its second number"
    assert override.config_loader is not None
    options = override.config_loader.get_group_options(override.key_or_group)
    key = _name(override)
    if not options:
        return f"glob(...) selects options of a group, and {key} is none"
    return f"the options of {key} are {', '.join(options)}"


def _numbers(sweep: RangeSweep, given: str) -> Iterator[int | float]:
    """The numbers of a range, computed from their decimal form, without the stop."""
    ends = (sweep.start, sweep.stop, sweep.step)
    # The shortest text of a float is the number as it was written.
    start, stop, step = (Decimal(str(end)) for end in ends)
    if not (start.is_finite() and stop.is_finite() and step.is_finite()) or step == 0:
        raise ConfigError(f"{given}: expected finite numbers and a step other than 0")
    number = math.ceil((stop - start) / step)
    if number > MAX_JOBS:
        raise ConfigError(f"{given}: expected at most {MAX_JOBS} values", "choose a larger step")
    is_integer = all(isinstance(end, int) for end in ends)
    for index in range(number):
        value = start + index * step
        yield int(value) if is_integer else float(value)


def _value_text(value: Any) -> str:
    if isinstance(value, str) and _INTERPOLATION.fullmatch(value):
        return value  # Hydra would escape it, and a name would show the escapes
    return Override._get_value_element_as_str(value)


def _functions() -> Any:
    """Hydra's functions, with sorted ranges of the right values, and casts that keep tags."""
    functions = create_functions()

    def replace(name: str, function: Callable[..., Any]) -> None:
        functions.functions[name] = function
        functions.definitions[name] = inspect.signature(function, eval_str=True)

    replace("sort", _sort)
    for name in ("int", "float", "str", "bool"):
        replace(name, _keeping_tags(functions.functions[name]))
    return functions


def _sort(*args: Any, sweep: Any = None, list: Any = None, reverse: bool = False) -> Any:
    given = args[0] if len(args) == 1 else sweep
    if not isinstance(given, RangeSweep):
        return grammar_functions.sort(*args, sweep=sweep, list=list, reverse=reverse)
    numbers = sorted(_numbers(given, "sort(range(...))"), reverse=reverse)
    return ChoiceSweep(tags=given.tags, list=[*numbers])


def _keeping_tags(cast: Callable[..., Any]) -> Callable[..., Any]:
    def cast_and_tag(*args: Any, value: Any = None) -> Any:
        result = cast(*args) if value is None else cast(*args, value=value)
        given = args[0] if len(args) == 1 else value
        if not (isinstance(given, Sweep) and isinstance(result, Sweep)):
            return result
        if isinstance(result, ChoiceSweep | RangeSweep):
            shuffle = getattr(given, "shuffle", False)
            return dataclasses.replace(result, tags=given.tags, shuffle=shuffle)
        return dataclasses.replace(result, tags=given.tags)

    return cast_and_tag
