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
from typing import Any, NamedTuple

import safetensors.torch
import torch
from fuzz_mutations import VALID, Mutation
from kept_build import KEPT
from omegaconf import OmegaConf
from rich.console import Console
from run_to_export import SIZES
from run_to_export import make_run as make_random_run
from study_fixtures import write_simulated_study

from lmlab.build import factory
from lmlab.build.identity import is_same_run
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose, load_frozen, to_yaml
from lmlab.config.hydra_errors import translate_hydra_errors
from lmlab.data.token_file import TokenFile, encode_corpus, write_token_file
from lmlab.demos import CONTENTS_FILE
from lmlab.design.comparison import Comparison
from lmlab.design.manifest import Job, Manifest
from lmlab.export.folder import export_run
from lmlab.hf.weight_files import WEIGHTS
from lmlab.outputs.entries import find_caches, find_runs, table
from lmlab.outputs.kept_runs import find_kept
from lmlab.outputs.references import find_references
from lmlab.outputs.run_diff import compare, read_run
from lmlab.outputs.run_diff import describe as describe_difference
from lmlab.publish import publish
from lmlab.run_folder import RunFolder, find_registered
from lmlab.runs.load import load
from lmlab.runtime.device import Device, resolve_device
from lmlab.status import show
from lmlab.storage.io import hash_content
from lmlab.study.index_page import write_index
from lmlab.study.markdown import render_csv, render_markdown
from lmlab.study.report_content import build_content
from lmlab.study.run_records import load_study, write_compact
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep.slurm.driver_job import read_driver_launch
from lmlab.sweep.slurm.job_status import job_status
from lmlab.sweep.slurm.resources import ArmResources, Resources
from lmlab.sweep.slurm.settings import SlurmSettings, SubmissionSettings
from lmlab.sweep.slurm.slurm_records import (
    driver_folder,
    read_driver_job,
    run_owners,
    submission_records,
)
from lmlab.sweep.stack_groups import StackGroups
from lmlab.sweep.submission_records import Assignment
from lmlab.tokenizer import Tokenizer
from lmlab.tokenizer.convert import read as read_tokenizer
from lmlab.tokenizer.convert import write as write_tokenizer

_SUFFIXES = (".json", ".jsonl", ".yaml", ".safetensors", ".txt", ".tiktoken")


@dataclasses.dataclass(frozen=True)
class Folder:
    """A kind of folder and one of its readers.

    Attributes:
        name: of the reader.
        template: name of the folder; readers of one template share it.
        make: writes the folder to an empty place, and returns that place.
        read: reads it, and returns what must not change silently.
    """

    name: str
    template: str
    make: Callable[[Path], Path]
    read: Callable[[Path], Any]

    def files(self, place: Path) -> list[Path]:
        """The files to mutate."""
        return _files(place, self.template)

    def named(self, file: Path) -> set[str]:
        """What an error may call a file: its name, or that of its checkpoint or tokenizer."""
        folder = file.parent.name
        is_named = folder.startswith(("step_", "best_")) or folder == "tokenizer"
        return {file.name, *([folder] if is_named else [])}


@functools.cache
def _files(place: Path, template: str) -> list[Path]:
    del template
    found = (path for path in place.rglob("*") if path.is_file() and _is_read(path))
    # The folders of submissions have random names.
    return sorted(found, key=lambda path: re.sub("/[0-9a-f]{10}/", "/token/", str(path)))


def _is_read(path: Path) -> bool:
    is_registered = path.parts[-3:-1] == ("cache", "runs")
    return is_registered or path.suffix in _SUFFIXES or path.name == "samples.md"


def make_study(place: Path) -> Path:
    """An output folder with a study of two arms and three seeds, every run with its files."""
    arms = {"rms": ["model.norm=rms"], "post": ["model.norm=post"]}
    design = Comparison(
        question="Which one?", arms=arms, baseline="rms", replicate=None, lr="fixed",
        lr_factor=2.0, edge_ratio=1.5, at_baseline_lr=False, num_seeds=3, num_tuning_seeds=2,
        extra_seeds=0, hold_tokens=False, solve_d_ff=False, tolerance={}, allow=[], margin=0.02,
        alpha=0.05, power=0.8, expected_sd=0.01, limits=["Simulated."],
    )  # fmt: skip
    configs = [
        compose([*overrides, "study=norms", "logger=none", "seed=0", "optim.lr=6e-3"])
        for overrides in arms.values()
    ]
    contents = [config.as_dict() | {"design": None} for config in configs]
    manifest = Manifest("norms", "a command", contents, list(arms), list(arms.values()), design)
    write_simulated_study(manifest, place, 100)
    for folder in sorted((place / "norms").glob("*/seed*")):
        (folder / "config.yaml").write_text(to_yaml(configs[0]))
        RunFolder(folder).annotate("a note", ["one", "two"])
        (folder / "preflight.json").write_text(json.dumps(
            {"from_step": 0, "predicted": {"seconds": 20.0, "memory_bytes": 1000},
             "actual": {"seconds": 21.0, "memory_bytes": 1100}}))  # fmt: skip
    return place


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


def read_outputs(root: Path) -> Any:
    """``lmlab.outputs``: what exists, and what is kept."""
    entries = find_runs(root)
    for line in table(root, [*entries, *find_caches(root)]):
        print(line)
    find_references(root)
    find_kept(root, entries, {}, force=False)
    return [(entry.path.name, entry.status, entry.detail) for entry in entries]


def make_run(place: Path) -> Path:
    """A run of an earlier build, with its weights."""
    return Path(shutil.copytree(KEPT / "finished", place))


def run_in(root: Path) -> Path:
    """The run in that folder."""
    return root / "kept" / "post" / "seed0"


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
    state = factory.build_state(resolve(load_frozen(KEPT / "finished/kept/post/seed0/config.yaml")),
                                _device())  # fmt: skip
    restored = factory.build_checkpoints(_workload(), run.checkpoints).restore_latest(state)
    status = run.status()
    rows = [row for row in run.rows() if row.get("step", 0) <= state.progress.step]
    losses = [row.get("loss") for row in rows]
    print(status.get("reason", ""))
    return restored, state.progress, weights_hash(state.model), status.get("status"), losses


@functools.cache
def _workload() -> Any:
    return resolve(load_frozen(KEPT / "finished/kept/post/seed0/config.yaml")).workload


def make_records(place: Path) -> Path:
    """A published study."""
    root = make_study(place.with_name(place.name + "-source"))
    write_compact(load_study(root / "norms"), place / "target" / "records")
    return place


def read_records(root: Path) -> Any:
    """``lmlab.publish``, which reads the records again."""
    content = build_content(load_study(root / "target"))
    print(render_markdown(content, []), render_csv(content))
    return results_of(content)


def make_demo(place: Path) -> Path:
    """The write-up of a demo, and the summary that the list of studies shows."""
    folder = place / "demo"
    folder.mkdir(parents=True)
    (folder / "report.md").write_text("# a demo\n")
    (folder / "report.html").write_text("<p>a demo</p>\n")
    content = {"title": "a demo", "command": "a command", "files": ["report.md", "report.html"]}
    (folder / CONTENTS_FILE).write_text(json.dumps(content))
    summary = {"study": "a demo", "title": "a demo", "question": "?", "headline": ["one"],
               "counts": {"done": 1}, "finished": True,
               "generated": "2026-01-01T00:00:00Z"}  # fmt: skip
    (folder / "report.json").write_text(json.dumps(summary))
    return place


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


_ARCHITECTURES = {
    "llama": ["model.norm=rms"],
    "qwen3": ["model.norm=rms", "model.attention.qk_norm=true"],
    "gpt2": ["model.norm=layernorm", "model.pos=learned", "model.ffn=gelu"],
    "lmlab": ["model.norm=post", "model.ffn=relu2"],
}


def make_hf(kind: str) -> Callable[[Path], Path]:
    """An exported model."""

    def make(place: Path) -> Path:
        run = place.with_name(f"{place.name}-run")
        make_random_run(run, compose([*SIZES, *_ARCHITECTURES[kind], "logger=none"]))
        export_run(run, place, check=False)
        return place

    return make


def make_tokenizer(format: str) -> Callable[[Path], Path]:
    """A tokenizer in one of the formats."""

    def make(place: Path) -> Path:
        place.mkdir(parents=True)
        write_tokenizer(Tokenizer.load(run_in(KEPT / "finished") / "tokenizer"), place, format)
        return place

    return make


def read_tokens(root: Path) -> Any:
    """The ids of a text, and how it ends."""
    path = next(iter(root.glob("*.tiktoken")), root)
    tokenizer = read_tokenizer(path)
    return tokenizer.hash, tokenizer.markers


def make_sharded(place: Path) -> Path:
    """An exported model whose weights are in two files, with an index."""
    make_hf("llama")(place)
    whole = place / WEIGHTS
    tensors = safetensors.torch.load_file(whole)
    whole.unlink()
    names = sorted(tensors)
    index: dict[str, str] = {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        file = f"model-{number:05d}-of-00002.safetensors"
        safetensors.torch.save_file({name: tensors[name] for name in part}, place / file)
        index |= dict.fromkeys(part, file)
    (place / f"{WEIGHTS}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    return place


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


def make_caches(place: Path) -> Path:
    """The token file of a text."""
    text = place / "text.md"
    place.mkdir(parents=True)
    text.write_text("one two three\n" * 50)
    _encode(place, write_token_file([text], _tokenizer(), place / "apart" / "apart.bin").text_hash)
    shutil.rmtree(place / "apart")
    return place


@functools.cache
def _tokenizer() -> Tokenizer:
    return Tokenizer.load(run_in(KEPT / "finished") / "tokenizer")


def _encode(place: Path, text_hash: str) -> TokenFile:
    return encode_corpus([place / "text.md"], _tokenizer(), place, name="train",
                         text_hash=text_hash)  # fmt: skip


def read_tokens_of_a_text(root: Path) -> Any:
    """What a run reads its tokens from; damage heals."""
    text_hash = write_token_file([root / "text.md"], _tokenizer(), root / "a.bin").text_hash
    found = _encode(root, text_hash)
    return found.num_tokens, hash_content(found.path)


def make_slurm(place: Path) -> Path:
    """The records of a study that runs under Slurm, with a detached driver."""
    sweep = SweepFolder(place / "norms" / "sweeps" / "id")
    sweep.path.mkdir(parents=True)
    (sweep.path / "manifest.json").write_text('{"format_version": 1}')
    records = submission_records(sweep)
    jobs = [Job("rms", 0.006, seed) for seed in (0, 1)]
    submission = records.create()
    runs = [Assignment(job, f"id{job.seed}", f"{job.seed}.yaml", job.seed) for job in jobs]
    submission.write("norms", "81", runs, resources={"cpus": 2})
    submission.write_exit_codes(0, {"0.yaml": 1})
    owners = run_owners(place)
    owners.folder.mkdir(parents=True)
    owners.set_owner("id0", submission, 0)
    other = submission_records(SweepFolder(place / "others" / "sweeps" / "id")).create()
    other.write("others", "82", [Assignment(Job("post", 0.006, 0), "id2", "0.yaml", 0)])
    records.record_adoption(Job("post", 0.006, 0), other, "id2")
    driver = driver_folder(sweep)
    driver.mkdir(parents=True)
    settings = SlurmSettings(SubmissionSettings(ArmResources(Resources())))
    launch = settings.as_dict() | {"wait": True, "code": str(place / "cache" / "code" / "1")}
    (driver / "launch.json").write_text(json.dumps(launch))
    (driver / "driver.json").write_text(json.dumps({"name": "lmlab-driver", "job_id": "80"}))
    (sweep.path / "stacks.jsonl").write_text('{"most": 4, "files": ["0.yaml", "1.yaml"]}\n')
    return place


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


class Silent(NamedTuple):
    """Content after which another result needs no word, since a program writes such content.

    Attributes:
        file: name of the file.
        kinds: of mutations.
        field: a regular expression of the whole field; empty for the file as a whole.
        reason: what the content means.
        reader: part of the names of the readers; empty: all.
    """

    file: str
    kinds: tuple[str, ...]
    field: str
    reason: str
    reader: str = ""


SILENT = [
    Silent("ledger.jsonl", ("cut after a row", "empty"), "", "the ledger of a sweep that goes on"),
    Silent("metrics.jsonl", ("cut after a row",), "", "the rows of a run that goes on"),
    Silent("adopted.jsonl", ("cut after a row", "empty"), "", "nothing more was adopted"),
    Silent("submission.json", ("length",), r"runs(\[\])?", "an array of other runs"),
    Silent("metrics.jsonl", ("negative", "null", "nan"), "loss|bits_per_byte|perplexity",
           "a null is a number that is not finite, and a loss may be negative"),
    Silent("end-0.json", ("missing",), "0.yaml", "a run that did not end by itself"),
    Silent("state.json", ("nan",), "progress.*", "earlier versions wrote no checksum"),
    Silent("launch.json", ("huge",), ".*", "a request that Slurm refuses"),
    Silent("exhibit.json", ("length",), r"files(\[\])?", "a demo of other files"),
    Silent("tokenizer.tiktoken.json", ("missing",), "special_tokens.*", "there is no such token"),
    Silent("special_tokens_map.json", ("missing", "root", "length"), ".*", "no such token"),
    Silent("tokenizer.json", ("length",), r"model.merges(\[\])?|added_tokens(\[\])?",
           "a vocabulary of other tokens; Hugging Face's files have no checksum"),
    Silent("tokenizer.json", ("null",), "added_tokens", "no such tokens"),
    Silent("tokenizer.json", ("missing",), "model.vocab.*", "other tokens", "vocabulary hf"),
]  # fmt: skip
# Fields that name files: one that leads elsewhere is never followed silently.
PATHS = {
    "ledger.jsonl": "run|failure.log",
    "adopted.jsonl": "submission",
    "submission.json": r"runs\[\].frozen",
    "stacks.jsonl": r"files\[\]",
    "model.safetensors.index.json": "weight_map.*",
    "exhibit.json": r"files\[\]",
    "id0.json": "submission",
    "state.json": "files.*",
}


def may_be_silent(reader: str, file: str, mutation: Mutation) -> bool:
    """Whether a program could have written such content, so that a reader need not tell it."""
    name = Path(file).name
    if mutation.kind in VALID:
        is_path = mutation.kind in ("path", "odd text", "long text")
        return not (is_path and re.fullmatch(PATHS.get(name, "(?!)"), mutation.field))
    return any(
        name == one.file
        and mutation.kind in one.kinds
        and one.reader in reader
        and re.fullmatch(one.field, mutation.field)
        for one in SILENT
    )


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
