"""Resolve a configuration into what each part of a run needs, once and in one place.

Nothing below :func:`resolve` receives the configuration: components become bound targets, the rest
plain values. :mod:`lmlab.build.factory` builds the objects of a run from them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lmlab.build.bound_parametrization import BoundParametrization
from lmlab.build.instantiate import BoundTarget, bind
from lmlab.build.network import network_builder
from lmlab.build.optimizers import bind_optimizer, bind_optimizers
from lmlab.build.run_data import DataSpec
from lmlab.build.workload import RunWorkload
from lmlab.config.identity_settings import identity_settings
from lmlab.config.run_config import AUTO_PARENT, Component, RunConfig
from lmlab.config.shared_parameters import own_component, shared_value
from lmlab.config.task_settings import parse_tasks
from lmlab.nn.transformer import Transformer
from lmlab.tasks.task import TaskSource
from lmlab.tasks.task_file import TaskFile
from lmlab.tracking import trackers_of


@dataclasses.dataclass(frozen=True)
class DeviceRequest:
    """The device settings as given; see :mod:`lmlab.runs.auto_settings` for ``auto``.

    Attributes:
        device: ``auto``, ``cpu``, ``mps``, ``cuda``, ``cuda:1`` ...
        policy: name of the numerical policy.
        compile: ``auto``, True or False.
        threads: CPU threads, or ``auto``.
        cuda_graph: ``auto`` or False.
        parallel: how several ranks share the work.
    """

    device: str
    policy: str
    compile: str | bool
    threads: int | str
    cuda_graph: str | bool
    parallel: str


@dataclasses.dataclass(frozen=True)
class SampleSettings:
    """The texts that the trained model generates.

    Attributes:
        prompts: starts of the texts.
        count: texts per prompt.
        max_new_tokens: most tokens of each text.
        temperature: divides the logits.
        top_k: draw from the k most likely tokens only.
        top_p: draw from the nucleus of this probability only.
        seed: of the draws.
    """

    prompts: tuple[str, ...]
    count: int
    max_new_tokens: int
    temperature: float
    top_k: int | None
    top_p: float | None
    seed: int


@dataclasses.dataclass(frozen=True)
class RunSpec:
    """A run, resolved: all that its configuration says, in the form that the parts take.

    Attributes:
        study: name of the study.
        arm: name of the arm.
        seed: number of the repetition.
        output_root: folder of all studies.
        cache_folder: folder of what runs share.
        named_folder: the folder that the names give the run; another configuration may occupy it.
        parent: folder of the run to extend; None for a run from the first step.
        reuse: whether a matching run of another study counts as this run.
        reuse_across_code: whether a run that differs in code only counts as this run.
        data: corpus and tokenizer.
        network: builds the model; keyword arguments replace sizes.
        initializer: makes the function that draws the initial weights.
        param: the parametrization.
        init_seed: seed of the initial weights.
        data_seed: seed of the order of batches.
        optimizer: makes the optimizer, given ``params``.
        optimizers: this one, then those of its groups.
        schedule: factor of the learning rate, given the step and ``total_steps``, and where it
            takes them ``tokens_per_step``.
        trackers: make the trackers, each given ``run_info``, by their dotted keys.
        callbacks: interval in steps and function of each callback, by name.
        workload: sizes and intervals.
        divergence_margin: see :class:`lmlab.training.trainer.LoopSettings`.
        patience: see :class:`lmlab.training.trainer.LoopSettings`.
        samples: texts at the end.
        device: device settings.
        preflight: ``refuse``, ``warn`` or ``off``.
        identity_settings: the part of the configuration that changes the result.
        settings: the full configuration as plain values, to be recorded.
    """

    study: str
    arm: str
    seed: int
    output_root: Path
    cache_folder: Path
    named_folder: Path
    parent: str | None
    reuse: bool
    reuse_across_code: bool
    data: DataSpec
    network: Callable[..., Transformer]
    initializer: BoundTarget
    param: BoundParametrization
    init_seed: int
    data_seed: int
    optimizer: BoundTarget
    optimizers: tuple[BoundTarget, ...]
    schedule: BoundTarget
    trackers: dict[str, BoundTarget]
    callbacks: dict[str, tuple[int, BoundTarget]]
    workload: RunWorkload
    divergence_margin: float
    patience: int | None
    samples: SampleSettings
    device: DeviceRequest
    preflight: str
    identity_settings: dict[str, Any]
    settings: dict[str, Any]

    @property
    def kernel_folder(self) -> Path:
        """Where compiled kernels are kept."""
        return self.cache_folder / "kernels"


def resolve(config: RunConfig) -> RunSpec:
    """Resolve ``config``; no component is imported and no file is read."""
    settings, cache_folder = config.as_dict(), config.cache_folder
    model, runtime = config.model, config.runtime
    return RunSpec(
        study=config.study,
        arm=config.arm,
        seed=config.seed,
        output_root=Path(config.output_root),
        cache_folder=cache_folder,
        named_folder=config.named_folder,
        parent=None if config.parent == AUTO_PARENT else config.parent,
        reuse=config.reuse,
        reuse_across_code=config.reuse_across_code,
        data=DataSpec(
            source=bind(own_component("data", config.data)),
            tokenizer=bind(config.tokenizer),
            cache_folder=cache_folder,
            vocab_size=model.vocab_size,
            context_length=model.context_length,
            tasks=_task_sources(config),
            probe_items=config.validation.probes,
            windows=shared_value("data", config.data, "windows"),
        ),
        network=network_builder(model, config.seeds.init),
        initializer=bind(model.init),
        param=BoundParametrization.of(model),
        init_seed=config.seeds.init,
        data_seed=config.seeds.data,
        optimizer=bind_optimizer(config.optim),
        optimizers=bind_optimizers(config.optim),
        schedule=bind(config.schedule),
        trackers={
            key: bind(Component(node)) for key, node in trackers_of(settings["logger"]).items()
        },
        callbacks=_bind_callbacks(config.callbacks),
        workload=_workload(config, settings),
        divergence_margin=config.training.divergence_margin,
        patience=config.training.patience,
        samples=SampleSettings(
            prompts=config.samples.prompts,
            count=config.samples.count,
            max_new_tokens=config.samples.max_new_tokens,
            temperature=config.samples.temperature,
            top_k=config.samples.top_k,
            top_p=config.samples.top_p,
            seed=config.seeds.sampling,
        ),
        device=DeviceRequest(
            device=runtime.device,
            policy=runtime.policy,
            compile=runtime.compile,
            threads=runtime.threads,
            cuda_graph=runtime.cuda_graph,
            parallel=runtime.parallel,
        ),
        preflight=runtime.preflight,
        identity_settings=identity_settings(config),
        settings=settings,
    )


def _bind_callbacks(component: Component) -> dict[str, tuple[int, BoundTarget]]:
    """Return the interval and the function of each callback, by name."""
    bound = {}
    for name, node in component.parameters.items():
        parameters = {k: v for k, v in node.items() if k not in ("_target_", "every_steps")}
        bound[name] = node["every_steps"], BoundTarget(node["_target_"], parameters)
    return bound


def _task_sources(config: RunConfig) -> tuple[TaskSource, ...]:
    """Return where the tasks of a run come from, in the order in which they are evaluated."""
    return tuple(TaskFile(entry) for entry in parse_tasks(config.validation.tasks))


def _workload(config: RunConfig, settings: dict[str, Any]) -> RunWorkload:
    training, samples = config.training, config.samples
    return RunWorkload(
        model=settings["model"],
        optim=settings["optim"],
        steps=training.steps,
        batch_size=training.batch_size,
        micro_batch_size=training.micro_batch_size,
        grad_clip_norm=training.grad_clip_norm,
        log_every=training.log_every,
        validate_every=config.validation.every_steps,
        validation_batch_size=config.validation.batch_size,
        validation_max_tokens=config.validation.max_tokens,
        save_every=config.checkpoint.every_steps,
        keep_last=config.checkpoint.keep_last,
        keep_steps=config.checkpoint.keep_steps,
        num_samples=len(samples.prompts) * samples.count,
        sample_tokens=samples.max_new_tokens,
        concurrent_jobs=config.runtime.beside,
        ema=training.ema,
        diagnose_every=training.diagnose_every,
        windows=shared_value("data", config.data, "windows"),
    )
