"""What to say about a setting or an option that does not exist: the nearest that do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from lmlab.config.deprecated_keys import REMOVED_KEYS
from lmlab.config.paths import conf_folder, user_settings_file
from lmlab.config.user_settings import search_path
from lmlab.config.yaml_files import read_settings
from lmlab.errors import ConfigError, did_you_mean, nearest

LIST_SETTINGS = "run python -m lmlab.train --help to list the settings"
# Names that other programs give to settings of lmlab.
_SYNONYMS = {
    "learning_rate": "optim.lr", "wd": "optim.weight_decay", "optimizer": "optim",
    "max_steps": "training.steps", "max_iters": "training.steps", "epochs": "training.steps",
    "num_epochs": "training.steps", "grad_clip": "training.grad_clip_norm",
    "num_tokens": "training.tokens", "train_tokens": "training.tokens",
    "n_layer": "model.num_layers", "n_layers": "model.num_layers", "layers": "model.num_layers",
    "n_head": "model.num_heads", "n_heads": "model.num_heads", "heads": "model.num_heads",
    "n_embd": "model.d_model", "hidden_size": "model.d_model", "block_size": "model.context_length",
    "max_seq_len": "model.context_length", "seq_len": "model.context_length",
    "scheduler": "schedule", "dataset": "data", "precision": "runtime.policy",
    "eval_every": "validation.every_steps", "save_every": "checkpoint.every_steps",
}  # fmt: skip


def unknown_setting(given: str, key: str, known: Sequence[str]) -> ConfigError:
    """Return the error for a setting that does not exist.

    Args:
        given: the override that set it, or its key.
        key: its dotted key.
        known: the dotted keys that exist.
    """
    if key in REMOVED_KEYS:
        return ConfigError(f"{key}: this setting was removed", f"use {REMOVED_KEYS[key]}")
    parent = key.rpartition(".")[0]
    siblings = sorted({o for o in known if o.rpartition(".")[0] == parent and o != key})
    expected = f"; expected one of {', '.join(siblings)}" if siblings and parent else ""
    near = did_you_mean(near_settings(key, known))
    hint = f"{near} Or {LIST_SETTINGS}" if near else LIST_SETTINGS
    return ConfigError(f"{given}: unknown setting{expected}", hint)


def near_settings(key: str, known: Iterable[str]) -> list[str]:
    """Return the settings that ``key`` may mean, the likeliest first.

    Settings of the same last name come before those with a similar one: ``lr`` is ``optim.lr``.
    """
    others = [other for other in dict.fromkeys(known) if other != key]
    parent, _, name = key.rpartition(".")
    elsewhere = [other for other in others if other.rpartition(".")[2] == name]
    if elsewhere:
        parents = [other.rpartition(".")[0] for other in elsewhere]
        alike = nearest(parent, parents) if parent else []
        return [o for o in elsewhere if o.rpartition(".")[0] in alike] or elsewhere[:3]
    if name in _SYNONYMS:
        return [_SYNONYMS[name]]
    siblings = [other for other in others if other.rpartition(".")[0] == parent]
    for pool, least in ((siblings, 0.5 if parent else 0.6), ([] if parent else others, 0.7)):
        # These share their parent, or have any, so only their last names are compared.
        names = dict.fromkeys(other.rpartition(".")[2] for other in pool)
        alike = nearest(name, names, least)
        if alike:
            return [other for other in pool if other.rpartition(".")[2] in alike][:3]
    return []


def unknown_parameter(
    given: str, path: str, key: str, target: str, valid: Sequence[str], known: Sequence[str]
) -> ConfigError:
    """Return the error for a parameter that the chosen option of a group does not have.

    Args:
        given: the override that set it.
        path: dotted key of the component.
        key: the parameter.
        target: what the component is.
        valid: its parameters.
        known: the dotted keys of the other settings.
    """
    near = nearest(key, valid)
    having = [f"{path}={option}" for option in _options_having(path, key)]
    if near:
        help = did_you_mean([f"{path}.{name}" for name in near])
    elif having:
        help = f"remove {path}.{key}, or select an option that has it: {', '.join(having)}"
    else:
        help = did_you_mean(near_settings(f"{path}.{key}", known)) or f"remove {path}.{key}"
    return ConfigError(
        f"{given}: unknown parameter of {target}; valid parameters: {', '.join(valid) or 'none'}",
        help,
    )


def _options_having(path: str, key: str) -> list[str]:
    """The options of a group whose files set the parameter ``key``."""
    group = path.replace(".", "/")
    found = []
    for folder in (conf_folder(), *search_path()):
        for file in sorted((folder / group).glob("*.yaml")):
            try:
                content = read_settings(file)
            except ValueError:
                continue
            if key in content:
                found.append(file.stem)
    return found


def unknown_option(group: str, option: str, options: Sequence[str]) -> ConfigError:
    """Return the error for an option that a group does not have.

    Args:
        group: separated by slashes.
        option: as given.
        options: those that exist.
    """
    dotted = group.replace("/", ".")
    file = _untrusted_file(group, option)
    help = did_you_mean(nearest(option, options))
    if file is not None:
        folder = file.parents[group.count("/") + 1]
        help = (
            f"{file} is in a folder that is not searched: add {folder} to search_path in "
            f"{user_settings_file()}, or pass --config-dir {folder}"
        )
    return ConfigError(f"{dotted}={option}: expected one of {', '.join(options)}", help)


def _untrusted_file(group: str, option: str) -> Path | None:
    """The file of an option in the working directory or a folder in it, which is not searched."""
    name = f"{group}/{option}.yaml"
    here = Path.cwd()
    try:
        folders = [here, *(path for path in sorted(here.iterdir()) if path.is_dir())]
    except OSError:
        return None
    return next((folder / name for folder in folders if (folder / name).is_file()), None)
