"""The settings below ``hydra``: those that lmlab supports, and what replaces the others.

lmlab names and writes run folders itself, and freezes every job of a multirun before the first one
starts. A setting of Hydra that has no effect here is refused, wherever it was set.
"""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from hydra.conf import HydraConf
from hydra.core.utils import JobRuntime
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from lmlab.config.paths import conf_folder, user_settings_file
from lmlab.config.slot_targets import check_nested_target
from lmlab.config.value_types import format_value
from lmlab.config.yaml_files import read_settings
from lmlab.errors import ConfigError, shorten, suggestion

# Callbacks that come with Hydra.
_HYDRA_CALLBACKS = (
    "hydra.experimental.callbacks.LogJobReturnCallback",
    "hydra.experimental.callbacks.PickleJobInfoCallback",
)
_LOCAL_LAUNCHER = "hydra_plugins.lmlab_launcher.launcher.LocalLauncher"
_LAUNCHERS = (_LOCAL_LAUNCHER, "hydra_plugins.lmlab_launcher.slurm.SlurmLauncher")
_SWEEPER = "hydra_plugins.lmlab_launcher.sweeper.Sweeper"

_RUN_FOLDER = "set output_root, study and arm: a run is saved in output_root/study/arm/seed<k>"
_SET_BY_HYDRA = "remove it: Hydra sets it; read it with ${hydra:...}"
_LOGS = "read train.log in the folder of the run; hydra.verbose=true logs more"
# Settings that would have no effect, with what has the effect instead.
_REPLACEMENTS = {
    "run.dir": _RUN_FOLDER,
    "sweep.dir": _RUN_FOLDER,
    "sweep.subdir": _RUN_FOLDER,
    "output_subdir": "read config.yaml and meta.json in the folder of the run",
    "hydra_logging": _LOGS,
    "job_logging": _LOGS,
    "job.name": "set study=... or arm=...",
    "job.chdir": "start the command in the other folder; output_root moves the results",
    "job.id": _SET_BY_HYDRA,
    "job.num": _SET_BY_HYDRA,
    "job.override_dirname": _SET_BY_HYDRA,
    "job.config_name": _SET_BY_HYDRA,
    "runtime": _SET_BY_HYDRA,
    "overrides": _SET_BY_HYDRA,
}
_LAUNCHER_HELP = (
    "hydra/launcher=lmlab runs the jobs on this machine, as many at once as fit "
    "(hydra.launcher.jobs_per_device); hydra/launcher=slurm submits job arrays"
)
# Settings that all jobs of a multirun share.
_SHARED_BY_JOBS = ("launcher", "sweeper", "callbacks", "job.env_set", "verbose")
_NO_LOGGING = {"version": 1, "root": None, "disable_existing_loggers": False}


def check_hydra_settings(config: DictConfig, *, is_multirun: bool) -> None:
    """Check the ``hydra`` node of a composed configuration.

    Raises:
        ConfigError: a setting is unknown, would have no effect, or names a callback outside the
            trusted packages.
    """
    hydra = config.hydra
    content: Any = OmegaConf.to_container(hydra, resolve=False)
    _check_keys(content)
    for key, replacement in _REPLACEMENTS.items():
        value = _value(content, key)
        if not _is_default(key, value, content):
            raise ConfigError(f"hydra.{key}={_short(value)}: this has no effect here", replacement)
    if content["searchpath"]:
        raise ConfigError(
            f"hydra.searchpath={_short(content['searchpath'])}: this has no effect here",
            f"pass --config-dir FOLDER, or add the folder to search_path in {user_settings_file()}",
        )
    check_callbacks(content["callbacks"])
    verbose = content["verbose"]
    if not isinstance(verbose, bool | str | list):
        raise ConfigError(f"hydra.verbose={verbose}: expected true, false or names of loggers")
    if is_multirun:
        _check_multirun(content)
    else:
        _check_single_run(content)


def environment(config: DictConfig) -> dict[str, str]:
    """Return the variables of ``hydra.job.env_set``, with those of ``env_copy``."""
    variables = OmegaConf.to_container(config.hydra.job.env_set, resolve=True)
    assert isinstance(variables, dict)
    for key, value in variables.items():
        name = str(key)
        if not name or "=" in name or "\0" in f"{name}{value}":
            raise ConfigError(f"hydra.job.env_set.{name}: expected the name of a variable")
    return {str(key): str(value) for key, value in variables.items()}


def differing_settings(config: DictConfig, other: DictConfig) -> list[str]:
    """Return the settings below ``hydra`` that jobs share and in which configurations differ."""
    return [
        key
        for key in _SHARED_BY_JOBS
        if OmegaConf.select(config.hydra, key) != OmegaConf.select(other.hydra, key)
    ]


def given_for_multirun(overrides: list[str]) -> str | None:
    """Return the first override of the launcher or the sweeper; None where there is none."""
    prefixes = ("hydra.launcher", "hydra/launcher", "hydra.sweeper", "hydra/sweeper")
    return next((text for text in overrides if text.lstrip("+~").startswith(prefixes)), None)


def resolve_mode(mode: RunMode | None, *, asks_multirun: bool, asks_run: bool) -> bool:
    """Return whether to start a multirun.

    Args:
        mode: ``hydra.mode``, from the command line or a file.
        asks_multirun: whether ``-m`` was given.
        asks_run: whether ``--run`` was given.

    Raises:
        ConfigError: they contradict each other.
    """
    if asks_multirun and mode == RunMode.RUN:
        raise ConfigError("hydra.mode=RUN: expected MULTIRUN with -m", "remove one of the two")
    if asks_run and mode == RunMode.MULTIRUN:
        raise ConfigError(
            "--run: expected a single run, but the configuration describes a multirun",
            "remove --run",
        )
    return asks_multirun or mode == RunMode.MULTIRUN


def missing_variable(error: KeyError) -> ConfigError | None:
    """Return the error for an entry of ``hydra.job.env_copy`` that is not set."""
    name = error.args[0] if error.args else None
    if not isinstance(name, str) or name in os.environ:
        return None
    return ConfigError(
        f"hydra.job.env_copy={name}: this environment variable is not set", f"export {name}=..."
    )


def missing_plugin(group: str, option: str) -> ConfigError:
    """Return the error for a sweeper or launcher that is not installed."""
    if group == "launcher":
        return ConfigError(f"hydra/launcher={option}: expected one of lmlab, slurm", _LAUNCHER_HELP)
    return ConfigError(
        f"hydra/sweeper={option}: this plugin is not installed",
        "sweep over values with -m, or search for learning rates with experiment=lr_search; "
        "a sampling sweeper such as hydra-optuna-sweeper works with hydra-core<1.4",
    )


def _check_keys(content: dict[str, Any]) -> None:
    known = [*(field.name for field in dataclasses.fields(HydraConf)), "env"]
    for key in content:
        if key not in known:
            raise ConfigError(
                f"hydra.{key}: unknown setting of Hydra", suggestion(key, known) or "remove it"
            )


def check_callbacks(callbacks: Any) -> None:
    """Raise :class:`ConfigError` for a callback outside the trusted packages."""
    for name, callback in (callbacks or {}).items():
        target = callback.get("_target_") if isinstance(callback, dict) else None
        if not isinstance(target, str):
            raise ConfigError(
                f"hydra.callbacks.{name}={_short(callback)}: expected a callback with a _target_"
            )
        for inner in _targets(callback):
            if inner not in _HYDRA_CALLBACKS:
                check_nested_target(f"hydra.callbacks.{name}", inner)


def _targets(node: Any) -> list[str]:
    """Every ``_target_`` in a node, since Hydra builds nested ones too."""
    if isinstance(node, dict):
        outer = [str(node["_target_"])] if "_target_" in node else []
        return outer + [inner for value in node.values() for inner in _targets(value)]
    if isinstance(node, list):
        return [inner for value in node for inner in _targets(value)]
    return []


def _check_multirun(content: dict[str, Any]) -> None:
    launcher, sweeper = content["launcher"] or {}, content["sweeper"] or {}
    if launcher.get("_target_") not in _LAUNCHERS:
        raise ConfigError(
            f"hydra/launcher={_choice(content, 'launcher')}: expected one of lmlab, slurm",
            _LAUNCHER_HELP,
        )
    if str(sweeper.get("_target_")).startswith("hydra._internal."):
        raise ConfigError(
            f"hydra/sweeper={_choice(content, 'sweeper')}: expected lmlab, which sweeps over the "
            "same values",
            "remove the override of hydra/sweeper",
        )
    if sweeper.get("_target_") == _SWEEPER and sweeper.get("max_batch_size") is not None:
        raise ConfigError(
            f"hydra.sweeper.max_batch_size={sweeper['max_batch_size']}: this has no effect here",
            "set hydra.launcher.jobs_per_device to limit how many jobs run at once",
        )


def _check_single_run(content: dict[str, Any]) -> None:
    launcher, sweeper = content["launcher"] or {}, content["sweeper"] or {}
    add = "add -m: a launcher runs the jobs of a multirun"
    if launcher.get("_target_") != _LOCAL_LAUNCHER:
        raise ConfigError(
            f"hydra/launcher={_choice(content, 'launcher')}: this has no effect on a single run",
            add,
        )
    defaults = read_settings(conf_folder() / "hydra" / "launcher" / "lmlab.yaml")
    for key, value in launcher.items():
        if key not in defaults or value != defaults[key]:
            raise ConfigError(
                f"hydra.launcher.{key}={format_value(value)}: this has no effect on a single run",
                add,
            )
    if sweeper.get("_target_") != _SWEEPER:
        raise ConfigError(
            f"hydra/sweeper={_choice(content, 'sweeper')}: this has no effect on a single run",
            "add -m: a sweeper makes the jobs of a multirun",
        )
    for key in ("params", "max_batch_size"):
        if sweeper.get(key):
            raise ConfigError(
                f"hydra.sweeper.{key}={_short(sweeper[key])}: this has no effect on a single run",
                "add -m",
            )


def _is_default(key: str, value: Any, content: dict[str, Any]) -> bool:
    """Whether a value is the default of lmlab or Hydra."""
    if key in ("hydra_logging", "job_logging"):
        return value == _NO_LOGGING or (
            _choice(content, key) == "default"
            and not any(
                text.lstrip("+").replace("/", ".").startswith(f"hydra.{key}")
                for text in content["overrides"]["hydra"]
            )
        )
    if key in ("job.id", "job.num"):
        return bool(value == "???")
    if key in ("job.override_dirname", "job.config_name", "runtime", "overrides"):
        # Hydra replaces what a file sets.
        typed = [text.lstrip("+~") for text in content["overrides"]["hydra"]]
        return not any(text.startswith((f"hydra.{key}=", f"hydra.{key}.")) for text in typed)
    if key == "job.name":
        return bool(value == JobRuntime.instance().get("name"))
    return (
        value
        in {
            "run.dir": (".", "outputs/${now:%Y-%m-%d}/${now:%H-%M-%S}"),
            "sweep.dir": ("multirun/${now:%Y-%m-%d}/${now:%H-%M-%S}",),
            "sweep.subdir": ("${hydra.job.num}",),
            "output_subdir": (None, ".hydra"),
            "job.chdir": (None, False),
        }[key]
    )


def _value(content: dict[str, Any], key: str) -> Any:
    node: Any = content
    for part in key.split("."):
        node = node.get(part)
    return node


def _choice(content: dict[str, Any], group: str) -> str:
    node = content.get(group)
    choice = content["runtime"]["choices"].get(f"hydra/{group}")
    return str(choice or (node.get("_target_") if isinstance(node, dict) else node))


def _short(value: Any) -> str:
    return shorten(format_value(value), 80)
