"""Run the jobs of a multirun on this machine."""

from __future__ import annotations

import copy
import shlex
import sys
from collections.abc import Collection, Sequence
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from hydra_plugins.lmlab_launcher.options import LocalOptions, read_options
from lmlab.config.compose import freeze
from lmlab.config.hydra_settings import differing_settings
from lmlab.config.interpolation import set_hydra_config
from lmlab.config.job_hooks import settings_for_jobs
from lmlab.config.run_config import RunConfig
from lmlab.console.command_line import INTERRUPTED_EXIT_CODE
from lmlab.design.comparison import Comparison
from lmlab.design.manifest import Manifest
from lmlab.errors import ConfigError
from lmlab.storage.io import hash_json


class LocalLauncher(Launcher):
    """Compose and check every job, then run all of them with :mod:`lmlab.sweep`.

    Args:
        jobs_per_device: concurrent jobs on each GPU, or on the CPU. ``auto`` is one per GPU; on a
            CPU it divides the cores by the threads of a job.
        stack: maximum number of runs to train as one model, of those that differ only in seeds,
            initial weights, optimizer and schedule; ``off``, or ``auto`` where that is faster.
        plan_only: print the plan and run nothing.
        report: write the report at the end.
    """

    def __init__(self, **options: Any) -> None:
        read = read_options(LocalOptions, options)
        self.jobs_per_device, self.stack = read["jobs_per_device"], read["stack"]
        self.plan_only, self.report = read["plan_only"], read["report"]
        self.hydra_context: HydraContext | None = None
        self.config: DictConfig | None = None
        self._composed: dict[tuple[str, ...], DictConfig] = {}
        self._codes: list[int] = []
        self._batches: list[Manifest] = []

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what is needed to compose jobs; only single runs use the task function."""
        self.hydra_context = hydra_context
        self.config = config
        getattr(hydra_context, "launchers", []).append(self)

    def compose(
        self, overrides: Sequence[str], swept: Collection[str] = (), number: int = 0
    ) -> RunConfig:
        """Compose and freeze the configuration of one job.

        Args:
            overrides: of the job.
            swept: keys that differ between the jobs.
            number: position of the job in the multirun, ``${hydra:job.num}``.

        Raises:
            ConfigError: an override is not valid.
        """
        assert self.hydra_context is not None
        loader = self.hydra_context.config_loader
        assert isinstance(loader, ConfigLoaderImpl)
        parsed = OverridesParser.create(config_loader=loader).parse_overrides(list(overrides))
        selections = tuple(
            override.input_line or "" for override in parsed if _selects_option(override, loader)
        )
        composed = self._compose_options(loader, selections)
        values = [override for override in parsed if not _selects_option(override, loader)]
        config = copy.deepcopy(composed)
        with open_dict(config):
            hydra = config.pop("hydra")
        loader._apply_overrides_to_config(values, config)
        with open_dict(hydra):
            hydra.job.num, hydra.overrides.task = number, list(overrides)
        set_hydra_config(OmegaConf.create({"hydra": hydra}))
        return freeze(config, overrides, swept)

    def _compose_options(self, loader: ConfigLoaderImpl, selections: tuple[str, ...]) -> DictConfig:
        """Compose the selected options, once for all jobs that select the same ones.

        Hydra takes a tenth of a second for it, and most jobs differ in values only.
        """
        if selections not in self._composed:
            assert self.config is not None
            config = loader.load_sweep_config(self.config, list(selections))
            _require_same_hydra(config, self.config, selections)
            self._composed[selections] = config
        return self._composed[selections]

    def run_sweep(self, manifest: Manifest) -> int:
        """Run the sweep on this machine; return its exit code."""
        # Imported late: torch takes seconds, and errors in configurations are reported first.
        from lmlab.sweep.local_launch import LocalLaunchSettings, run_local_sweep

        stack = self.stack
        if "callbacks" in (manifest.hydra or {}):
            if stack not in ("auto", "off", False):
                raise ConfigError(
                    f"hydra.launcher.stack={stack}: expected off with hydra.callbacks, which "
                    "surround the job of each run",
                    "remove one of the two",
                )
            stack = "off"
        settings = LocalLaunchSettings(self.jobs_per_device, self.plan_only, self.report, stack)
        return run_local_sweep(manifest, settings)

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run a batch of jobs for a sweeper that chooses the next jobs by the results.

        Returns:
            The results, in order. The value of a job is its final validation loss; infinity if it
            diverged.

        Raises:
            ConfigError: an override is not valid, or no jobs would run.
        """
        if self.plan_only:
            raise ConfigError(
                "hydra.launcher.plan_only=true: expected hydra/sweeper=lmlab, which knows every "
                "job before the first one runs",
                "remove one of the two",
            )
        from lmlab.sweep.batch_results import read_results

        jobs = [list(overrides) for overrides in job_overrides]
        manifest, positions = freeze_jobs(self, jobs, initial_job_idx)
        report, self.report = self.report, False
        try:
            self._codes.append(self.run_sweep(manifest))
        finally:
            self.report = report
        if self._codes[-1] == INTERRUPTED_EXIT_CODE:
            raise SystemExit(INTERRUPTED_EXIT_CODE)
        self._batches.append(manifest)
        results = read_results(manifest)
        return [
            _job_return(overrides, manifest.arms[position], results[position])
            for overrides, position in zip(jobs, positions, strict=True)
        ]

    def finish(self) -> int:
        """Report all batches of :meth:`launch` as one sweep; return the exit code."""
        if self.report and self._batches:
            from lmlab.sweep.batch_results import join_batches

            self._codes.append(self.run_sweep(join_batches(self._batches)))
        return next((code for code in self._codes if code), 0)


def freeze_jobs(
    launcher: LocalLauncher, jobs: Sequence[list[str]], first_number: int = 0
) -> tuple[Manifest, list[int]]:
    """Compose and freeze the jobs of a plain sweep.

    Args:
        launcher: composes them.
        jobs: the overrides of each job.
        first_number: position of the first job in the multirun.

    Returns:
        The sweep, in which each configuration is once, and the position of each job in it.

    Raises:
        ConfigError: a job is not valid, or is a study or a demo.
    """
    pairs = [{text.partition("=")[0]: text for text in job} for job in jobs]
    swept = {key for pair in pairs for key in pair if len({p.get(key) for p in pairs}) > 1}
    configs: dict[str, tuple[RunConfig, list[str]]] = {}
    hashes = []
    for number, job in enumerate(jobs, first_number):
        config = launcher.compose(job, swept, number)
        for key in ("design", "demo"):
            if getattr(config, key) is not None:
                raise ConfigError(
                    f"{' '.join(job)}: selects a {'study' if key == 'design' else key}, which "
                    "cannot be a job of a sweep",
                    "start it with a separate command",
                )
        # Jobs may differ in overrides only, such as optim.lr=1e-3,0.001.
        content = config.as_dict() | ({} if "arm" in swept else {"arm": None})
        hashes.append(hash_json(content))
        configs.setdefault(hashes[-1], (config, job))
    if len(configs) < len(jobs):
        print(
            f"{len(jobs)} jobs have {len(configs)} different configurations; each trains once",
            file=sys.stderr,
        )
    chosen = [config for config, _ in configs.values()]
    overrides = [job for _, job in configs.values()]
    manifest = make_manifest(chosen, [config.arm for config in chosen], overrides, launcher)
    return manifest, [list(configs).index(each) for each in hashes]


def make_manifest(
    configs: Sequence[RunConfig],
    names: list[str],
    overrides: Sequence[Sequence[str]],
    launcher: LocalLauncher,
    design: Comparison | None = None,
) -> Manifest:
    """Return the manifest of a sweep or study whose configurations are frozen."""
    assert launcher.config is not None
    return Manifest(
        study=configs[0].study,
        command=shlex.join(["python", "-m", "lmlab.train", *sys.argv[1:]]),
        # The configuration of a run does not depend on the study.
        arms=[config.as_dict() | {"design": None, "ladder": None} for config in configs],
        names=names,
        overrides=[list(each) for each in overrides],
        comparison=design,
        hydra=settings_for_jobs(launcher.config),
    )


def _job_return(overrides: list[str], content: dict[str, Any], result: Any) -> JobReturn:
    returned = JobReturn(overrides=overrides, cfg=OmegaConf.create(content), task_name="train")
    if result.loss is None:
        returned.status = JobStatus.FAILED
        returned.return_value = RuntimeError(f"{result.folder}: {result.status}")
    else:
        returned.status, returned.return_value = JobStatus.COMPLETED, result.loss
    returned.working_dir = str(result.folder)
    return returned


def _require_same_hydra(
    config: DictConfig, multirun: DictConfig, selections: Sequence[str]
) -> None:
    """Check that the options of a job set nothing of Hydra that belongs to the multirun."""
    different = differing_settings(config, multirun)
    if different:
        key = f"hydra.{different[0]}"
        raise ConfigError(
            f"{' '.join(selections)}: sets {key}, which all jobs of a multirun share",
            f"set {key} on the command line, or start one command per option",
        )


def _selects_option(override: Override, loader: ConfigLoaderImpl) -> bool:
    """Whether an override selects an option of a group, by the rules of Hydra."""
    if override.is_hydra_override():
        return True  # of the node that configurations of jobs do not have
    is_value = isinstance(override.value(), dict)
    return not is_value and bool(loader.repository.group_exists(override.key_or_group))
