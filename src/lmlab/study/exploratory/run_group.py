"""One side of a comparison: finished runs of one configuration that differ in their seeds."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lmlab.config.compose import load_frozen
from lmlab.design.fairness import ArmCosts
from lmlab.design.job import Job
from lmlab.design.run_keys import differing, value_of
from lmlab.errors import ConfigError, DataError
from lmlab.run_folder import FINISHED, RunFolder
from lmlab.storage.io import hash_json
from lmlab.study.plain_runs import settings_of_run
from lmlab.study.run_records import RunRecord, read_run

_SAME = ("identity.train_text", "identity.valid_text", "identity.tokenizer")
_SHOWN = 4


@dataclasses.dataclass(frozen=True)
class RunGroup:
    """Runs of one configuration.

    Attributes:
        name: ``A`` or ``B``.
        arm: name of the arm of its first run.
        records: its finished runs, sorted by seed; each seed occurs once.
        config: configuration of the first run, as plain values.
        unfinished: folder and state of the runs that have no result yet.
    """

    name: str
    arm: str
    records: list[RunRecord]
    config: dict[str, Any]
    unfinished: tuple[tuple[str, str], ...] = ()

    @property
    def title(self) -> str:
        """How the group is called beside the other: ``A (model.norm-post)``."""
        return f"{self.name} ({self.arm})"

    @property
    def seeds(self) -> dict[int, dict[str, int]]:
        """The seeds of initialization and data of each run, by its seed."""
        return {record.job.seed: _seeds(record) for record in self.records}

    @property
    def tokenizer(self) -> str:
        """Hash of the tokenizer."""
        return str(self.records[0].meta["identity"]["tokenizer"])

    def with_metric(self, metric: str) -> RunGroup:
        """Return the group with runs that are compared by ``metric`` of the validation rows.

        Raises:
            DataError: a run does not have it.
        """
        for record in self.records:
            if any(metric not in row for row in record.validation):
                raise DataError(f"{record.folder}: its evaluations have no {metric}")
        records = [dataclasses.replace(record, metric=metric) for record in self.records]
        return dataclasses.replace(self, records=records)

    def costs(self) -> ArmCosts:
        """Return the cost and the data of the runs, as their records state them."""
        meta, training = self.records[0].meta, self.config["training"]
        identity, context = meta["identity"], self.config["model"]["context_length"]
        limit, d_ff = self.config["validation"].get("max_tokens"), self.config["model"].get("d_ff")
        last = next((one.validation[-1] for one in self.records if one.validation), {})
        is_whole = limit is None or limit >= meta.get("valid_tokens", 0)
        return ArmCosts(
            parameters=int(meta.get("num_parameters", 0)),
            flops=int(meta.get("forward_flops_per_token", 0)),
            tokens=training["steps"] * training["batch_size"] * context,
            steps=training["steps"],
            batch_size=training["batch_size"],
            context=context,
            evaluation=int(last.get("num_tokens", 0)),
            evaluations=max(len(record.validation) for record in self.records),
            data=hash_json([identity["train_text"], identity["valid_text"]]),
            tokenizer=self.tokenizer,
            d_ff=d_ff if isinstance(d_ff, int) else None,
            validation=identity["valid_text"],
            evaluates_all=is_whole,
        )


def read_group(name: str, runs: Sequence[RunFolder]) -> RunGroup:
    """Read the runs of one side.

    Args:
        name: ``A`` or ``B``.
        runs: their folders.

    Raises:
        DataError: none has finished, or the records of one are damaged.
        ConfigError: they have several configurations, or two have one seed.
    """
    records = [_read(name, run) for run in runs]
    finished = [record for record in records if record.state in FINISHED]
    others = tuple((one.folder, one.state) for one in records if one.state not in FINISHED)
    if not finished:
        states = ", ".join(f"{folder} is {state}" for folder, state in others[:_SHOWN])
        raise DataError(f"{name}: no run has finished: {states}", "rerun their commands")
    _check_one_configuration(name, finished)
    finished.sort(key=lambda record: record.job.seed)
    by_seed: dict[int, RunRecord] = {}
    for record in finished:
        twin = by_seed.setdefault(record.job.seed, record)
        if twin is not record:
            raise ConfigError(
                f"{name}: seed {record.job.seed} twice: {twin.folder} and {record.folder}",
                "name one of them",
            )
    folder = next(run for run in runs if str(run.path) == finished[0].folder)
    arm = folder.path.resolve().parent.name
    return RunGroup(name, arm, finished, load_frozen(folder.config).as_dict(), others)


def _read(name: str, run: RunFolder) -> RunRecord:
    meta = run.meta()
    identity = meta.get("identity") or {}
    missing = [key for key in ("config", "train_text", "valid_text", "tokenizer")
               if key not in identity]  # fmt: skip
    if missing:
        raise DataError(f"{run.path}: meta.json: identity.{missing[0]}: missing",
                        "name runs that this version can read")  # fmt: skip
    seed = load_frozen(run.config).seed
    record = read_run(run, Job(name, None, seed), ("run",), run.path.parent)
    return dataclasses.replace(record, folder=str(run.path), settings=settings_of_run(meta))


def _seeds(record: RunRecord) -> dict[str, int]:
    found = record.meta["identity"]["config"].get("seeds") or {}
    return {key: int(found.get(key, record.job.seed)) for key in ("init", "data")}


def _check_one_configuration(name: str, records: Sequence[RunRecord]) -> None:
    """Refuse runs that differ in more than seeds: their spread is not that of the seeds."""
    own = _definition(records[0])
    for record in records[1:]:
        other = _definition(record)
        keys = differing(own, other)
        if keys:
            shown = ", ".join(
                f"{key.removeprefix('identity.')} ({value_of(own, key)[:20]}, "
                f"{value_of(other, key)[:20]})"
                for key in keys[:_SHOWN]
            )
            first = records[0].folder
            raise ConfigError(
                f"{name}: expected runs that differ in their seeds alone; {first} and "
                f"{record.folder} differ in {shown}",
                f"name the runs of one configuration, such as '{Path(first).parent}'",
            )


def _definition(record: RunRecord) -> dict[str, Any]:
    """Return the settings and data of a run, without its machine and code."""
    return {
        key: value
        for key, value in record.settings.items()
        if not key.startswith("identity.") or key in _SAME
    }
