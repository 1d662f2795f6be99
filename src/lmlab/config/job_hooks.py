"""What Hydra does around a job: environment variables, callbacks, and the level of the log."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra.conf import HydraConf
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from lmlab.config.hydra_settings import check_callbacks
from lmlab.config.interpolation import set_hydra_config
from lmlab.config.run_config import RunConfig
from lmlab.runtime.launch_env import read_launch_env
from lmlab.storage.fields import read_valid
from lmlab.storage.record_fields import MANIFEST

# The settings of a multirun that its jobs need, wherever they run.
_KEPT = ("callbacks", "verbose")


def settings_for_jobs(config: DictConfig) -> dict[str, Any] | None:
    """Return what the jobs of a multirun need of its ``hydra`` node; None where that is nothing."""
    kept = {
        key: OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
        for key in _KEPT
        if (node := config.hydra.get(key))
    }
    return kept or None


def run_in_sweep(config_file: Path, frozen: RunConfig, task: Callable[[], int]) -> int:
    """Run a job with what its multirun does around jobs.

    Args:
        config_file: its frozen configuration, below the folder of the sweep.
        frozen: its content.
        task: trains, and returns the exit code.
    """
    manifest = _read_manifest(config_file)
    settings = manifest.get("hydra")
    if not settings:
        return task()
    set_log_level(settings.get("verbose"))
    if "callbacks" not in settings or not read_launch_env().is_rank0:
        return task()
    names = [(arm["arm"], arm["seed"]) for arm in manifest["arms"]]
    this = (frozen.arm, frozen.seed)
    # A study gives an arm further seeds and rates.
    number = names.index(this) if this in names else _index_of_arm(manifest["names"], frozen.arm)
    overrides = manifest["overrides"][number]
    config = _job_config(settings, frozen, number, overrides)
    set_hydra_config(config)
    code, _ = run_job(config, Callbacks(config), frozen, task)
    return code


def set_sweep_log_level(config_file: Path) -> None:
    """Log details in a job as its multirun requests."""
    set_log_level((_read_manifest(config_file).get("hydra") or {}).get("verbose"))


def _read_manifest(config_file: Path) -> dict[str, Any]:
    """The manifest of the sweep whose folder contains the file; empty where there is none."""
    for folder in list(config_file.resolve().parents)[1:3]:
        if folder.parent.name == "sweeps" and (folder / "manifest.json").is_file():
            return read_valid(folder / "manifest.json", MANIFEST)
    return {}


def _index_of_arm(names: list[str], arm: str) -> int:
    source = arm.partition("+lr-")[0]
    return names.index(source) if source in names else 0


def _job_config(
    settings: dict[str, Any], frozen: RunConfig, number: int, overrides: list[str]
) -> DictConfig:
    """The configuration of a job with a ``hydra`` node, which its callbacks receive."""
    config = OmegaConf.create(frozen.as_dict())
    hydra = OmegaConf.structured(HydraConf)
    with open_dict(hydra):
        del hydra["defaults"]
        hydra.merge_with(settings)
        hydra.mode = RunMode.MULTIRUN
        hydra.job.num, hydra.job.name = number, "train"
        hydra.overrides.task = overrides
        hydra.runtime.cwd = os.getcwd()
        hydra.output_subdir = None
    config.hydra = hydra
    check_callbacks(OmegaConf.to_container(config.hydra.callbacks))
    return config


def run_job(
    config: DictConfig, callbacks: Callbacks, frozen: RunConfig, task: Callable[[], int]
) -> tuple[int, JobReturn]:
    """Run a job between ``on_job_start`` and ``on_job_end``.

    Args:
        config: with the ``hydra`` node; callbacks receive it.
        callbacks: those of ``config``.
        frozen: configuration of the job.
        task: trains, and returns the exit code.

    Returns:
        The exit code, and what ``on_job_end`` received; ``return_value`` is the exit code.
    """
    with open_dict(config):
        config.hydra.runtime.output_dir = os.path.abspath(frozen.named_folder)
    returned = JobReturn(
        overrides=given_overrides(config, "task"),
        cfg=OmegaConf.create(frozen.as_dict()),
        hydra_cfg=OmegaConf.masked_copy(config, "hydra"),
        working_dir=os.getcwd(),
        task_name="train",
    )
    set_log_level(config.hydra.verbose)
    callbacks.on_job_start(config=config, task_function=lambda _: task())
    try:
        code = task()
    except BaseException as error:
        returned.return_value, returned.status = error, JobStatus.FAILED
        callbacks.on_job_end(config=config, job_return=returned)
        raise
    returned.return_value = code if code == 0 else RuntimeError(f"exit code {code}")
    returned.status = JobStatus.COMPLETED if code == 0 else JobStatus.FAILED
    callbacks.on_job_end(config=config, job_return=returned)
    return code, returned


def given_overrides(config: DictConfig, kind: str) -> list[str]:
    """Return the overrides of ``hydra`` or of the ``task`` as given, with their interpolations."""
    given = OmegaConf.to_container(config.hydra.overrides[kind], resolve=False)
    assert isinstance(given, list)
    return [str(text) for text in given]


def set_log_level(verbose: Any) -> None:
    """Log details as ``hydra.verbose`` requests: of all loggers, or of those with these names."""
    if verbose is False or verbose is None:
        return
    names = [None] if verbose is True else [verbose] if isinstance(verbose, str) else list(verbose)
    root = logging.getLogger()
    if not root.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("[%(name)s][%(levelname)s] %(message)s"))
        handler.addFilter(lambda record: not record.name.startswith("lmlab"))
        root.addHandler(handler)
    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG)
