"""Resolve the interpolations of a configuration to values of the right type.

An environment variable is a text, and so is ``${oc.env:LR,1e-3}``. Where a component expects a
number, a boolean or a list, the text becomes what it would be as an override on the command line.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import importlib.util
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, Sweep
from hydra.errors import HydraException
from omegaconf import AnyNode, DictConfig, ListConfig, Node, OmegaConf, ValueNode, open_dict
from omegaconf.errors import OmegaConfBaseException, UnsupportedInterpolationType

from lmlab.config.signatures import read_signature
from lmlab.config.user_settings import trusted_packages
from lmlab.config.value_types import accepts
from lmlab.errors import ConfigError

T = TypeVar("T")
_REFERENCE = re.compile(r"\$\{([^:${}]+)\}")
_NAMES = ("study", "arm")
_PROBE = "_text_of_an_interpolation"


def resolve(config: DictConfig) -> dict[str, Any]:
    """Return a composed configuration as plain values.

    Raises:
        OmegaConfBaseException: an interpolation cannot be resolved, or a value is missing.
        ConfigError: a trusted package cannot be imported for its resolvers.
    """
    config = _with_typed_texts(config)
    content = with_custom_resolvers(
        lambda: OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    )
    assert isinstance(content, dict)
    converted = _converted(config, content, config)
    for key in _NAMES:
        if OmegaConf.is_interpolation(config, key) and isinstance(content[key], str):
            converted[key] = _as_name(content[key])
    return {str(key): value for key, value in converted.items()}


def with_custom_resolvers(function: Callable[[], T]) -> T:
    """Call ``function``; if a resolver is unknown, import the trusted packages and call it again.

    A package registers its resolvers when its module ``resolvers`` is imported, or else the
    package. Nothing is imported for configurations that need none of them.
    """
    try:
        return function()
    except UnsupportedInterpolationType:
        for package in trusted_packages():
            _import_resolvers(package)
        return function()


def set_hydra_config(config: DictConfig) -> None:
    """Let ``${hydra:...}`` read the ``hydra`` node of ``config``."""
    vars(HydraConfig.instance())["cfg"] = config


@contextlib.contextmanager
def reading_hydra(hydra: DictConfig) -> Iterator[None]:
    """Let ``${hydra:...}`` read the node ``hydra``, and restore the previous one."""
    previous = HydraConfig.instance().cfg
    set_hydra_config(OmegaConf.create({"hydra": hydra}))
    try:
        yield
    finally:
        HydraConfig.instance().cfg = previous


def _import_resolvers(package: str) -> None:
    try:
        module = f"{package}.resolvers"
        is_package = importlib.util.find_spec(package) is not None
        has_module = is_package and importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        has_module = False  # the package is one module
    try:
        importlib.import_module(module if has_module else package)
    except ImportError as error:
        raise ConfigError(
            f"trusted_packages: cannot import {package} for its resolvers: {error}",
            "install the package, or start the command in the folder that contains it",
        ) from error


def _with_typed_texts(config: DictConfig) -> DictConfig:
    """Return the configuration with nulls and lists where typed settings refer to texts of them.

    OmegaConf converts a text to a number, but ``null`` and ``[1,2]`` to nothing.
    """
    found = list(_typed_references(config, ()))
    if not found:
        return config
    changed, probe = copy.deepcopy(config), copy.deepcopy(config)
    for path in found:
        node: Any = changed
        for name in path:
            parent, node = node, node._get_node(name)
        with open_dict(probe):
            probe[_PROBE] = node._value()
        try:
            value = with_custom_resolvers(lambda: probe[_PROBE])
        except OmegaConfBaseException:
            continue  # reported with its key when the configuration is resolved
        parsed = parse_text(value) if isinstance(value, str) else value
        if isinstance(node, ListConfig) and not isinstance(parsed, list | ListConfig):
            key = ".".join(map(str, path))
            raise ConfigError(f"{key}={value}: expected a list", f"write [{value}]")
        if isinstance(parsed, list) or (parsed is None and node._is_optional()):
            parent[path[-1]] = parsed
    return changed


def _typed_references(node: DictConfig, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """The paths of settings with a type that call resolvers."""
    for key in node:
        inner = node._get_node(key)
        if isinstance(inner, Node) and inner._is_interpolation():
            is_typed = isinstance(inner, ListConfig | ValueNode) and not isinstance(inner, AnyNode)
            if is_typed and not _REFERENCE.fullmatch(str(inner._value())):
                yield (*path, key)
        elif isinstance(inner, DictConfig) and not (inner._is_none() or inner._is_missing()):
            yield from _typed_references(inner, (*path, key))


def _converted(node: Any, value: Any, root: DictConfig) -> Any:
    """Convert the texts that interpolations without a type gave."""
    if node is None or node._is_none() or node._is_interpolation():
        return parse_text(value) if _is_untyped_text(node, value, root) else value
    if isinstance(node, DictConfig):
        converted = {
            key: _converted(node._get_node(key), inner, root) for key, inner in value.items()
        }
        return _checked_component(value, converted)
    if isinstance(node, ListConfig):
        return [_converted(node._get_node(i), inner, root) for i, inner in enumerate(value)]
    return value


def _is_untyped_text(node: Any, value: Any, root: DictConfig) -> bool:
    if not (isinstance(value, str) and isinstance(node, AnyNode)):
        return False
    reference = _REFERENCE.fullmatch(str(node._value()))
    if reference is None:
        return True
    # A reference copies the value of another setting, which is converted if it is a text, too.
    parent, _, name = reference[1].rpartition(".")
    owner = OmegaConf.select(root, parent) if parent else root
    other = owner._get_node(name) if isinstance(owner, DictConfig) else None
    return other is not None and other._is_interpolation() and _is_untyped_text(other, value, root)


def parse_text(text: str) -> Any:
    """Return the value of ``key=text`` on the command line; the text where it is none."""
    try:
        parsed = OverridesParser.create().parse_rule(text, "element") if text else text
    except HydraException:
        return text
    if isinstance(parsed, str | Sweep | Glob):
        return text
    return Override._convert_value(parsed)


def _checked_component(value: dict[Any, Any], converted: dict[Any, Any]) -> dict[Any, Any]:
    """Keep the text of a parameter that accepts the text and not what it was converted to."""
    target = value.get("_target_")
    if converted == value or not isinstance(target, str):
        return converted
    try:
        signature = read_signature(target)
    except LookupError:
        return converted
    for name, parameter in (signature.parameters if signature else {}).items():
        if name not in converted or accepts(parameter.annotation, converted[name]):
            continue
        if accepts(parameter.annotation, value[name]):
            converted[name] = value[name]
    return converted


def _as_name(text: str) -> str:
    """Make a folder name of an interpolated text, in the form of an arm's name.

    ``model/norm=post,seed=1``, which ``${hydra:job.override_dirname}`` gives, becomes
    ``model.norm-post+seed-1``.
    """
    return text.replace("/", ".").replace("=", "-").replace(",", "+") or "default"
