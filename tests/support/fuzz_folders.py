"""The folders whose files are mutated, and what the commands read them with."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from kept_build import KEPT
from rich.console import Console
from run_to_export import SIZES
from run_to_export import make_run as make_random_run
from study_fixtures import write_simulated_study

from lmlab.build import factory
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose, load_frozen, to_yaml
from lmlab.demos import CONTENTS_FILE
from lmlab.design.comparison import Comparison
from lmlab.design.manifest import Manifest
from lmlab.export.folder import export_run
from lmlab.outputs.entries import find_caches, find_runs, table
from lmlab.outputs.kept_runs import find_kept
from lmlab.outputs.references import find_references
from lmlab.outputs.run_diff import compare, read_run
from lmlab.outputs.run_diff import describe as describe_difference
from lmlab.publish import publish
from lmlab.run_folder import RunFolder
from lmlab.runs.load import load
from lmlab.runtime.device import Device, resolve_device
from lmlab.status import show
from lmlab.study.index_page import write_index
from lmlab.study.markdown import render_csv, render_markdown
from lmlab.study.report_content import build_content
from lmlab.study.run_records import load_study, write_compact
from lmlab.tokenizer import Tokenizer
from lmlab.tokenizer.convert import read as read_tokenizer
from lmlab.tokenizer.convert import write as write_tokenizer

_READ_BY_TEXT = (".json", ".jsonl", ".yaml", ".safetensors", ".txt", ".tiktoken", ".md")


@dataclasses.dataclass(frozen=True)
class Folder:
    """A kind of folder and one of its readers.

    Attributes:
        name: of the reader.
        template: name of the folder; readers of one template share it.
        make: writes the folder to an empty place, and returns that place.
        read: reads it, and returns what must not change silently.
        also_named: what an error may say instead of the name of a file.
        legal: what the content of a file may leave out or say otherwise, by file: the mutations
            after which another result is what the content says.
    """

    name: str
    template: str
    make: Callable[[Path], Path]
    read: Callable[[Path], Any]
    also_named: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    legal: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)

    def files(self, place: Path) -> list[Path]:
        """The files to mutate."""
        return _files(place, self.template)

    def says(self, file: str, kind: str) -> bool:
        """Whether content that was changed in this way still says what the result is."""
        return kind in self.legal.get(Path(file).name, ())


@functools.cache
def _files(place: Path, template: str) -> list[Path]:
    del template
    return sorted(
        path
        for path in place.rglob("*")
        if path.suffix in _READ_BY_TEXT and path.is_file() and ".lock" not in path.name
    )


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
    runs = [(run["arm"], run["seed"], run["status"], run["loss"]) for run in content["runs"]]
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


# A null in a row of metrics is a number that is not finite. A ledger that ends after a row is that
# of a sweep that goes on, and a killed process leaves a part of a row of metrics.
_RUN_LEGAL = {
    "metrics.jsonl": ("null", "nan", "truncated", "empty", "zeros"),
    "ledger.jsonl": ("truncated", "empty"),
    "status.json": ("missing", "root"),
    "meta.json": ("missing", "root"),
}
_RECORDS = {"records.jsonl": ("null", "nan", "missing", "length", "truncated")}
_DEMO = {"exhibit.json": ("missing", "length"), "report.json": ("path",)}
# Other programs may leave out what has a default, and name tokens as they like.
_HF = {
    "config.json": ("missing", "type", "length"),
    "generation_config.json": ("missing", "type", "null", "length", "root", "empty"),
    "tokenizer_config.json": ("missing", "type", "null", "length", "root", "path"),
    "tokenizer.json": ("missing", "path", "length"),
    "tokenizer.tiktoken.json": ("missing", "path"),
}

FOLDERS = [
    Folder("status", "study", make_study, read_status, legal=_RUN_LEGAL),
    Folder("report", "study", make_study, read_report, legal=_RUN_LEGAL),
    Folder("outputs", "study", make_study, read_outputs, legal=_RUN_LEGAL),
    Folder("load", "run", make_run, read_run_model),
    Folder("resume", "run", make_run, read_checkpoint, legal=_RUN_LEGAL),
    Folder("records of a run", "run", make_run, read_run_records, legal=_RUN_LEGAL),
    Folder("published records", "records", make_records, read_records, legal=_RECORDS),
    Folder("publish a demo", "demo", make_demo, read_demo, legal=_DEMO),
    Folder("list of studies", "demo", make_demo, read_index, legal=_DEMO),
    *(
        Folder(f"load {kind}", f"hf-{kind}", make_hf(kind), read_model, legal=_HF)
        for kind in ("llama", "qwen3", "gpt2", "lmlab")
    ),
    *(
        Folder(
            f"tokenizer {kind}", f"tokenizer-{kind}", make_tokenizer(kind), read_tokens, legal=_HF
        )
        for kind in ("lmlab", "hf", "gpt2", "tiktoken")
    ),
]
