"""The folders whose files are mutated, and what the commands read them with."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from fuzz_samples import (
    encode,
    make_caches,
    make_demo,
    make_hf,
    make_ladder,
    make_records,
    make_run,
    make_sharded,
    make_slurm,
    make_study,
    make_tokenizer,
    run_in,
    saved_tokenizer,
)
from kept_build import KEPT
from omegaconf import OmegaConf
from rich.console import Console

from lmlab.build import factory
from lmlab.build.identity import is_same_run
from lmlab.build.run_spec import RunSpec, resolve
from lmlab.config.compose import load_frozen
from lmlab.config.hydra_errors import translate_hydra_errors
from lmlab.data.token_file import write_token_file
from lmlab.outputs.entries import find_caches, find_runs, table
from lmlab.outputs.kept_runs import find_kept
from lmlab.outputs.references import find_references
from lmlab.outputs.run_diff import compare, read_run
from lmlab.outputs.run_diff import describe as describe_difference
from lmlab.publish import publish
from lmlab.run_folder import RunFolder
from lmlab.runs.load import load
from lmlab.runs.run_register import find_registered
from lmlab.runtime.device import Device, resolve_device
from lmlab.status import show
from lmlab.storage.io import hash_content
from lmlab.study.csv_tables import render_csv
from lmlab.study.index_page import write_index
from lmlab.study.markdown import render_markdown
from lmlab.study.report_content import build_content
from lmlab.study.run_records import load_study
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep.slurm.driver_job import read_driver_launch
from lmlab.sweep.slurm.job_status import job_status
from lmlab.sweep.slurm.slurm_records import (
    driver_folder,
    read_driver_job,
    run_owners,
    submission_records,
)
from lmlab.sweep.stack_groups import StackGroups
from lmlab.tokenizer.convert import read as read_tokenizer

_SUFFIXES = (".json", ".jsonl", ".yaml", ".safetensors", ".txt", ".tiktoken")


@dataclasses.dataclass(frozen=True)
class Folder:
    """A kind of folder and one of its readers.

    Attributes:
        name: of the reader.
        template: name of the folder; readers of one template share it.
        make: writes the folder to an empty place, and returns that place.
        read: reads it, and returns what must not change silently.
        only: names of the files to mutate; empty for all.
    """

    name: str
    template: str
    make: Callable[[Path], Path]
    read: Callable[[Path], Any]
    only: tuple[str, ...] = ()

    def files(self, place: Path) -> list[Path]:
        """The files to mutate."""
        return [path for path in _files(place) if not self.only or path.name in self.only]

    def named(self, file: Path) -> set[str]:
        """What an error may call a file: its name, or that of its checkpoint or tokenizer."""
        folder = file.parent.name
        is_named = folder.startswith(("step_", "best_")) or folder == "tokenizer"
        return {file.name, *([folder] if is_named else [])}


@functools.cache
def _files(place: Path) -> list[Path]:
    found = (path for path in place.rglob("*") if path.is_file() and _is_read(path))
    # The folders of submissions have random names.
    return sorted(found, key=lambda path: re.sub("/[0-9a-f]{10}/", "/token/", str(path)))


def _is_read(path: Path) -> bool:
    is_registered = path.parts[-3:-1] == ("cache", "runs")
    return is_registered or path.suffix in _SUFFIXES or path.name == "samples.md"


def read_status(root: Path) -> Any:
    """``lmlab.status``, of one study and of all."""
    out = io.StringIO()
    console = Console(file=out, width=300, markup=False, color_system=None)
    show(console, root / "norms")
    show(console, root)
    lines = out.getvalue().splitlines()
    print(out.getvalue())
    return [line.split() for line in lines if line.startswith(("rms", "post", "norms"))]


def results_of(content: dict[str, Any]) -> Any:
    """The numbers of a report that must not change silently."""
    rows = [(row["arm"], row["verdict"], row["difference"]) for row in content["verdicts"]]
    keys = ("arm", "lr", "seed", "purpose", "status", "steps", "loss")
    runs = [tuple(run[key] for key in keys) for run in content["runs"]]
    return rows, sorted(runs, key=str)


def read_report(root: Path) -> Any:
    """``lmlab.report``, without its figures."""
    content = build_content(load_study(root / "norms"))
    text = render_markdown(content, []) + render_csv(content)
    print(text)
    return results_of(content)


def read_ladder(root: Path) -> Any:
    """``lmlab.report`` and ``lmlab.status`` of a ladder."""
    study = load_study(root / "ladder")
    content = build_content(study)
    print(render_markdown(content, []), render_csv(content))
    out = io.StringIO()
    show(Console(file=out, width=300, markup=False, color_system=None), root / "ladder")
    print(out.getvalue())
    ladder = content["ladder"]
    keys = ("rung", "time", "level", "reason", "problems", "rows")
    seals = [tuple(str(row[key]) for key in keys) for row in ladder["seals"]]
    numbers = [(row["arm"], row["verdict"], row["adjusted_p"]) for row in ladder["verdicts"]]
    rungs = [tuple(row.items()) for row in ladder["rungs"]]
    return seals, ladder["seal_problems"], numbers, rungs


def read_outputs(root: Path) -> Any:
    """``lmlab.outputs``: what exists, and what is kept."""
    entries = find_runs(root)
    for line in table(root, [*entries, *find_caches(root)]):
        print(line)
    find_references(root)
    find_kept(root, entries, {}, force=False)
    return [(entry.path.name, entry.status, entry.detail) for entry in entries]


def weights_hash(model: torch.nn.Module) -> str:
    """The content of a model's state."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def read_model(path: Path) -> Any:
    """``lmlab.load``."""
    model, tokenizer = load(path, device="cpu")
    return weights_hash(model), tokenizer.hash


def read_run_model(root: Path) -> Any:
    """``lmlab.load`` of a run."""
    return read_model(run_in(root))


def read_run_records(root: Path) -> Any:
    """What a finished run, its differences and its records show."""
    run = run_in(root)
    facts = read_run(run)
    for line in describe_difference(compare(facts, facts)):
        print(line)
    entries = [(entry.status, entry.detail) for entry in find_runs(root)]
    content = build_content(load_study(root / "kept"))
    return entries, results_of(content)


@functools.cache
def _device() -> Device:
    return resolve_device(device="cpu", policy="exact", compile=False, threads=1)


def read_checkpoint(root: Path) -> Any:
    """What a rerun of the command reads before it resumes."""
    run = RunFolder(run_in(root))
    state = factory.build_state(_spec(), _device())
    checkpoints = factory.build_checkpoints(_spec().workload, run.checkpoints)
    restored = checkpoints.restore_latest(state)
    status = run.status()
    rows = [row for row in run.rows() if row.get("step", 0) <= state.progress.step]
    losses = [row.get("loss") for row in rows]
    print(status.get("reason", ""))
    return restored, state.progress, weights_hash(state.model), status.get("status"), losses


@functools.cache
def _spec() -> RunSpec:
    return resolve(load_frozen(run_in(KEPT / "finished") / "config.yaml"))


def read_records(root: Path) -> Any:
    """``lmlab.publish``, which reads the records again."""
    content = build_content(load_study(root / "target"))
    print(render_markdown(content, []), render_csv(content))
    return results_of(content)


def read_demo(root: Path) -> Any:
    """``lmlab.publish`` of a demo."""
    target = root.with_name(root.name + "-published")
    shutil.rmtree(target, ignore_errors=True)
    publish(root / "demo", target)
    return sorted(path.relative_to(target).as_posix() for path in target.rglob("*"))


def read_index(root: Path) -> Any:
    """The list of all studies."""
    text = write_index(root).read_text("utf-8")
    return "a demo" in text


def read_tokens(root: Path) -> Any:
    """The ids of a text, and how it ends."""
    path = next(iter(root.glob("*.tiktoken")), root)
    tokenizer = read_tokenizer(path)
    return tokenizer.hash, tokenizer.markers


def read_sizes(root: Path) -> Any:
    """What a configuration takes from a saved tokenizer."""
    node = OmegaConf.create({"size": f"${{saved_vocab_size:'{root}'}}"})
    with translate_hydra_errors([]):
        return node.size


def read_register(root: Path) -> Any:
    """What another study finds in the register of runs."""
    identity = json.loads((run_in(KEPT / "finished") / "meta.json").read_text())["identity"]
    found = find_registered(root, identity, is_same_run)
    return None if found is None else found.path.relative_to(root)


def read_job_config(root: Path) -> Any:
    """``lmlab.run``, which a job calls with its frozen configuration."""
    load_frozen(run_in(root) / "config.yaml")


def read_tokens_of_a_text(root: Path) -> Any:
    """What a run reads its tokens from; damage heals."""
    text_hash = write_token_file([root / "text.md"], saved_tokenizer(), root / "a.bin").text_hash
    found = encode(root, text_hash)
    return found.num_tokens, hash_content(found.path)


def read_slurm(root: Path) -> Any:
    """What ``lmlab.status``, a launcher, an array's job and the driver's job read."""
    sweep = SweepFolder(root / "norms" / "sweeps" / "id")
    jobs, messages = job_status(root / "norms")
    latest = submission_records(sweep).latest()
    owner = run_owners(root).owner("id0")
    codes = [submission.exit_codes(run.index) for submission, run in latest.values()]
    list(StackGroups(sweep, lambda config: 4, min_stacks=1).group([]))
    return (
        sorted((str(job), status.state, status.log.name) for job, status in jobs.items()), messages,
        sorted((str(job), str(run)) for job, (_, run) in latest.items()),
        owner and (owner[0].folder.name, owner[1]), codes, read_driver_job(sweep),
    )  # fmt: skip


def read_launch(root: Path) -> Any:
    """What the job of a detached driver reads."""
    settings, code = read_driver_launch(driver_folder(SweepFolder(root / "norms/sweeps/id")))
    return settings, code


FOLDERS = [
    Folder("status", "study", make_study, read_status),
    Folder("report", "study", make_study, read_report),
    Folder("outputs", "study", make_study, read_outputs),
    Folder("load a run", "run", make_run, read_run_model),
    Folder("resume", "run", make_run, read_checkpoint),
    Folder("records of a run", "run", make_run, read_run_records),
    Folder("register of runs", "run", make_run, read_register),
    Folder("configuration of a job", "run", make_run, read_job_config),
    Folder("token files", "caches", make_caches, read_tokens_of_a_text),
    Folder("Slurm's records", "slurm", make_slurm, read_slurm),
    Folder("Slurm's driver", "slurm", make_slurm, read_launch),
    Folder(
        "report of a ladder",
        "ladder",
        make_ladder,
        read_ladder,
        ("seals.jsonl", "manifest.json", "facts.json"),
    ),
    Folder("published records", "records", make_records, read_records),
    Folder("publish a demo", "demo", make_demo, read_demo),
    Folder("list of studies", "demo", make_demo, read_index),
    Folder("load shards", "hf-shards", make_sharded, read_model),
    *(
        Folder(f"load {kind}", f"hf-{kind}", make_hf(kind), read_model)
        for kind in ("llama", "qwen3", "gpt2", "lmlab")
    ),
    *(
        Folder(f"tokenizer {kind}", f"tokenizer-{kind}", make_tokenizer(kind), read_tokens)
        for kind in ("lmlab", "hf", "gpt2", "tiktoken")
    ),
    *(
        Folder(f"vocabulary {kind}", f"tokenizer-{kind}", make_tokenizer(kind), read_sizes)
        for kind in ("lmlab", "hf")
    ),
]
