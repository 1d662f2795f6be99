"""Small folders of each kind, whose files are mutated."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import safetensors.torch
from kept_build import KEPT
from run_to_export import SIZES
from run_to_export import make_run as make_random_run
from study_fixtures import write_simulated_study

from lmlab.config.compose import compose, to_yaml
from lmlab.data.token_file import TokenFile, encode_corpus, write_token_file
from lmlab.demos import CONTENTS_FILE
from lmlab.design.comparison import Comparison
from lmlab.design.job import Job
from lmlab.design.manifest import Manifest
from lmlab.export.folder import export_run
from lmlab.hf.weight_files import WEIGHTS
from lmlab.run_folder import RunFolder
from lmlab.study.run_records import load_study
from lmlab.study.sweep_folder import SweepFolder
from lmlab.study.write_records import write_compact
from lmlab.sweep.slurm.resources import ArmResources, Resources
from lmlab.sweep.slurm.settings import SlurmSettings, SubmissionSettings
from lmlab.sweep.slurm.slurm_records import (
    driver_folder,
    run_owners,
    submission_records,
)
from lmlab.sweep.submission_records import Assignment
from lmlab.tokenizer import Tokenizer
from lmlab.tokenizer.convert import write as write_tokenizer
from tests.support.ladder_folders import write_ladder
from tests.support.ladders import a_ladder


def run_in(root: Path) -> Path:
    """The run in that folder."""
    return root / "kept" / "post" / "seed0"


def make_run(place: Path) -> Path:
    """A run of an earlier build, with its weights."""
    return Path(shutil.copytree(KEPT / "finished", place))


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
            {"from_step": 0, "predicted": {"seconds": 20.0, "peak_bytes": 1000},
             "actual": {"seconds": 21.0, "peak_bytes": 1100}}))  # fmt: skip
    return place


def make_ladder(place: Path) -> Path:
    """An output folder with a ladder of four rungs and two arms, and its seal."""
    write_ladder(place, a_ladder(4, num_seeds=2))
    return place


def make_records(place: Path) -> Path:
    """A published study."""
    root = make_study(place.with_name(place.name + "-source"))
    write_compact(load_study(root / "norms"), place / "target" / "records")
    return place


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


def make_tokenizer(format: str) -> Callable[[Path], Path]:
    """A tokenizer in one of the formats."""

    def make(place: Path) -> Path:
        place.mkdir(parents=True)
        write_tokenizer(Tokenizer.load(run_in(KEPT / "finished") / "tokenizer"), place, format)
        return place

    return make


@functools.cache
def saved_tokenizer() -> Tokenizer:
    return Tokenizer.load(run_in(KEPT / "finished") / "tokenizer")


def encode(place: Path, text_hash: str) -> TokenFile:
    return encode_corpus([place / "text.md"], saved_tokenizer(), place, name="train",
                         text_hash=text_hash)  # fmt: skip


def make_caches(place: Path) -> Path:
    """The token file of a text."""
    text = place / "text.md"
    place.mkdir(parents=True)
    text.write_text("one two three\n" * 50)
    encode(
        place, write_token_file([text], saved_tokenizer(), place / "apart" / "apart.bin").text_hash
    )
    shutil.rmtree(place / "apart")
    return place


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
