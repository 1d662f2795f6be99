"""Make the content of ``kept_run/``, or train its golden runs again; see ``make_kept_run.sh``.

``python make_kept_run.py make|golden SCRATCH``, in ``kept_run/``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kept_build import end_of, hash_tensors, machine, rows_of

STOP_AT = 12  # updates of the unfinished run
# Columns of golden.json.
TRAIN_KEYS = ("step", "loss", "grad_norm", "weight_norm")
VALID_KEYS = ("step", "loss", "bits_per_byte")

# As the fixtures `texts` and `overrides` of tests/conftest.py.
STORY = "The cat sat on the mat. A dog ran to the hill and saw the sun.\n<|endoftext|>\n"
TEXTS = ["data=text", "data.train=texts/train.txt", "data.valid=texts/valid.txt"]
STEPS = [
    "training.steps=20", "training.batch_size=4", "training.log_every=5",
    "schedule.warmup_steps=2", "validation.every_steps=10", "checkpoint.every_steps=5",
    "samples.max_new_tokens=8",
]  # fmt: skip
MACHINE = ["runtime.device=cpu", "runtime.threads=1", "runtime.policy=exact", "logger=none"]
SIZES = ["vocab_size=280", "context_length=16", "d_model=16", "num_layers=2", "num_heads=2"]
FIXTURE = [*TEXTS, *(f"model.{size}" for size in SIZES), *STEPS, *MACHINE]

# Checkpoints are kept in the repository, so this model is smaller. With a constant schedule a run
# can be extended from its last checkpoint.
SMALL = [
    *TEXTS, "model.vocab_size=264", "model.context_length=16", "model.d_model=4", "model.d_ff=8",
    "model.num_layers=2", "model.num_heads=2", "model.norm=post", "schedule=constant", *STEPS,
    "checkpoint.keep_last=1", *MACHINE, "runtime.preflight=off",
]  # fmt: skip
ONE = ["study=kept", "arm=post", *SMALL]
COMMANDS = {
    "finished": ["output_root=finished", *ONE],
    "unfinished": ["output_root=unfinished", *ONE, "seed=1"],
    "extended": [
        "output_root=finished", *ONE, "arm=extended", "parent=finished/kept/post/seed0",
        "training.steps=26",
    ],
    "study": ["-m", "optim.lr=1e-3,1e-2", "output_root=study", "study=sweep", *SMALL],
}  # fmt: skip

GOLDEN = {
    "default": [],
    "norm=none": ["model.norm=none"],
    "norm=post": ["model.norm=post"],
    "norm=layernorm": ["model.norm=layernorm"],
    "pos=nope": ["model.pos=nope"],
    "pos=learned": ["model.pos=learned"],
    "ffn=silu": ["model.ffn=silu"],
    "ffn=gelu": ["model.ffn=gelu"],
    "ffn=relu2": ["model.ffn=relu2"],
    "attention.qk_norm": ["model.attention.qk_norm=true"],
    "attention.num_kv_heads": ["model.attention.num_kv_heads=1"],
    "init=normal": ["model.init=normal"],
    "init=xavier_uniform": ["model.init=xavier_uniform"],
    "tie_embeddings": ["model.tie_embeddings=true"],
    "optim=sgd": ["optim=sgd"],
    "optim=sgd nesterov": ["optim=sgd", "optim.nesterov=true", "optim.weight_decay=0.1"],
    "optim=muon": ["optim=muon"],
    "optim=muon original": ["optim=muon", "optim.adjust_lr=original", "optim.nesterov=false"],
    "schedule=constant": ["schedule=constant"],
    "schedule=linear": ["schedule=linear"],
    "schedule=wsd": ["schedule=wsd"],
    "tokenizer=bytes": ["tokenizer=bytes", "model.vocab_size=257"],
    "micro_batch_size": ["training.micro_batch_size=2"],
    "no clipping": ["training.grad_clip_norm=null"],
    "seed": ["seed=1"],
    "fast": ["runtime.policy=fast", "runtime.compile=false"],
    "fast compiled": ["runtime.policy=fast", "runtime.compile=true"],
    "bf16": ["runtime.policy=bf16", "runtime.compile=false"],
}

HF = {
    "llama": [],
    "qwen3": ["model.attention.qk_norm=true", "model.attention.num_kv_heads=2"],
    "gpt2": [
        "model.norm=layernorm", "model.pos=learned", "model.ffn=gelu", "model.tie_embeddings=true",
    ],
    "lmlab": ["model.norm=post"],
    "lmlab-none": ["model.norm=none", "model.pos=nope", "model.ffn=relu2"],
}  # fmt: skip

CASES = """

scale=cpu
scale=smoke
scale=reference
model=nano
model=micro
model=small_17m
model=gpt2_small
model=gpt2_medium
model=gpt2_large
model=gpt2_xl
model.norm=rms model.norm.eps=1e-6
model.norm=post
model/norm=layernorm
model.norm=none
model.pos=rope model.pos.theta=500000
model.pos=nope
model.pos=learned
model.ffn=swiglu model.d_ff=96
model.ffn=silu
model.ffn=gelu
model.ffn=relu2
model.attention=causal model.attention.num_kv_heads=2 model.attention.qk_norm=true
model.attention.qk_norm=true +model.attention.qk_norm_eps=1e-6
model.init=normal model.init.std=0.01
model.init=xavier_uniform
model.tie_embeddings=true model.num_layers=1
optim=adamw optim.lr=1e-3 optim.betas=[0.9,0.99] optim.weight_decay=0
optim=sgd optim.momentum=0.5 optim.nesterov=true
optim=muon
optim=muon optim.adjust_lr=original optim.ns_steps=3 optim.adamw_lr=1e-3
schedule=constant
schedule=linear schedule.min_lr_ratio=0.05
schedule=wsd schedule.decay_fraction=0.5
schedule=cosine schedule.warmup_steps=0
data=tinystories
data=openwebtext data.base_url=https://example.org/owt
data=text data.train=texts/train.txt data.valid=[texts/valid.txt]
data=toystories data.num_train_documents=100 data.seed=3
tokenizer=bpe tokenizer.special_tokens=[] model.vocab_size=300
tokenizer=bytes
tokenizer=saved tokenizer.path=finished/kept/post/seed0/tokenizer
runtime.policy=exact runtime.threads=1 runtime.device=cpu
runtime.policy=fast runtime.compile=true runtime.cuda_graph=false
runtime.policy=bf16 runtime.parallel=fsdp runtime.preflight=off
training.micro_batch_size=8 training.grad_clip_norm=null training.log_every=7
validation.max_tokens=4096 validation.batch_size=5 validation.every_steps=9
seed=7 seeds.data=3 study=other checkpoint.every_steps=3 samples.count=2
logger=trackio experiment=ablations scale=smoke
logger=none experiment=accounting
""".removeprefix("\n").splitlines()

# Run as a file of its own: python -m lmlab.train, interrupted during update STOP_AT.
STOPPED = """
import os, signal
from torch.optim.optimizer import register_optimizer_step_post_hook

count = 0


def stop(*_):
    global count
    count += 1
    if count == int(os.environ["STOP_AT"]):
        os.kill(os.getpid(), signal.SIGINT)


register_optimizer_step_post_hook(stop)

from lmlab.console.command_line import run_main
from lmlab.train import main

run_main(main)
"""


def write_rows(path: Path, head: dict[str, Any], key: str, rows: Iterable[Any]) -> None:
    """Write JSON with one row per line, so that a difference shows as the lines that changed."""
    is_mapping = isinstance(rows, dict)
    pairs = rows.items() if isinstance(rows, dict) else ((None, row) for row in rows)
    inner = [
        (f"  {json.dumps(name)}: " if is_mapping else "  ") + json.dumps(row, separators=(",", ":"))
        for name, row in pairs
    ]
    opening, closing = "{}" if is_mapping else "[]"
    text = "".join(f" {json.dumps(name)}: {_indent(value)},\n" for name, value in head.items())
    body = ",\n".join(inner)
    path.write_text(f"{{\n{text} {json.dumps(key)}: {opening}\n{body}\n {closing}\n}}\n")


def _indent(value: Any) -> str:
    """JSON of a value; a long mapping with one entry per line."""
    if not isinstance(value, dict) or len(value) < 9:
        return json.dumps(value)
    compact = (",", ":")
    inner = (f"  {json.dumps(k)}: {json.dumps(v, separators=compact)}" for k, v in value.items())
    return "{\n" + ",\n".join(inner) + "\n }"


def run(
    arguments: list[str],
    folder: Path = Path(),
    program: tuple[str, ...] = ("-m", "lmlab.train"),
    code: int = 0,
    **variables: str,
) -> None:
    """Run a command in a folder; stop with its output unless it ends with ``code``."""
    done = subprocess.run(
        [sys.executable, *program, *arguments], cwd=folder, env=os.environ | variables, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode != code:
        sys.exit(f"exit code {done.returncode} of {arguments}:\n{done.stdout}")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def copy_here(scratch: Path) -> Path:
    """A fresh copy of ``kept_run/`` to run something in."""
    return Path(shutil.copytree(Path.cwd(), Path(tempfile.mkdtemp(dir=scratch)) / "kept_run"))


def tidy(root: Path, arguments: list[str] | None) -> None:
    """Remove from an output folder what is large or about this machine."""
    for path in root.rglob("learning_curve.*"):
        path.unlink()
    for path in root.glob("cache/tokens/*/*"):  # made again; expected.json has their hashes
        if root.name != "finished" or path.stem == "train":
            path.unlink()
    for path in root.rglob("*.safetensors"):
        path.chmod(0o644)
    for path in root.rglob("meta.json"):
        meta = json.loads(path.read_text("utf-8"))
        for session in meta["sessions"]:
            for key in ("host", "folder", "platform"):
                del session[key]
            session["code"] = {key: session["code"][key] for key in ("commit", "changed")}
            if arguments is None:
                del session["command"]  # names paths of this machine
            else:
                session["command"] = ["python", "-m", "lmlab.train", *arguments]
        path.write_text(json.dumps(meta, indent=2, ensure_ascii=False) + "\n", "utf-8")


def make_runs(scratch: Path) -> None:
    texts = Path("texts")
    texts.mkdir()
    (texts / "train.txt").write_text("".join(f"Story {number}. {STORY}" for number in range(300)))
    (texts / "valid.txt").write_text("".join(f"Tale {number}. {STORY}" for number in range(20)))
    write_rows(Path("commands.json"), {}, "words", COMMANDS)

    run(COMMANDS["finished"])
    cache = sorted(path for path in Path("finished/cache").rglob("*") if path.is_file())
    cached = {str(path.relative_to("finished")): sha256(path) for path in cache}
    tidy(Path("finished"), COMMANDS["finished"])

    program = scratch / "stopped.py"
    program.write_text(STOPPED)
    run(COMMANDS["unfinished"], program=(str(program),), code=130, STOP_AT=str(STOP_AT))
    tidy(Path("unfinished"), COMMANDS["unfinished"])

    uninterrupted = copy_here(scratch)
    shutil.rmtree(uninterrupted / "unfinished")
    run(COMMANDS["unfinished"], uninterrupted)
    extended = copy_here(scratch)
    run(COMMANDS["extended"], extended)
    meta = json.loads(Path("finished/kept/post/seed0/meta.json").read_text("utf-8"))
    expected = {
        "made_by": meta["sessions"][0]["code"]["commit"],
        "versions": meta["sessions"][0]["versions"],
        "machine": machine(),
        "stopped_at": STOP_AT,
        "cache_of_finished": cached,
        "finished": end_of(Path("finished/kept/post/seed0")),
        "unfinished_to_its_end": end_of(uninterrupted / "unfinished/kept/post/seed1"),
        "extended": end_of(extended / "finished/kept/extended/seed0"),
    }
    Path("expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def make_study() -> None:
    run(COMMANDS["study"])
    root = Path("study")
    tidy(root, None)
    for path in root.rglob("checkpoints"):
        shutil.rmtree(path)
    for path in (root / "sweep").iterdir():  # the report, except its table
        if path.is_file() and path.name != "results.csv":
            path.unlink()


def make_hf() -> None:
    """Folders for ``model=imported``; their weights are only hashed."""
    from lmlab.config.compose import compose
    from lmlab.hf.config_writer import to_hf

    for kind, changes in HF.items():
        folder = Path("hf") / kind
        folder.mkdir(parents=True)
        content = to_hf(compose(["model=nano", *changes]).model.as_dict(), 96)
        (folder / "config.json").write_text(json.dumps(content, indent=1) + "\n")
        (folder / "model.safetensors").write_text(f"not weights: only hashed ({kind})\n")


def make_identities() -> None:
    import torch

    from lmlab.build.identity import NUMERICS_VERSIONS
    from lmlab.config.compose import compose
    from lmlab.config.identity_settings import identity_settings
    from lmlab.config.paths import conf_folder
    from lmlab.runtime.device import Device
    from lmlab.runtime.precision import POLICIES, PrecisionPolicy
    from lmlab.storage.io import hash_json

    devices = [
        Device(torch.device(kind), PrecisionPolicy(name), compile=False, threads=2).identity()
        for kind in ("cpu", "cuda")
        for name in POLICIES
    ]
    files = (path.read_text("utf-8") for path in conf_folder().rglob("*.yaml"))
    targets = {target for text in files for target in re.findall(r"_target_: (\S+)", text)}
    parts: dict[str, Any] = {}
    cases = []
    imported = (f"model=imported model.init.path=hf/{kind}" for kind in HF)
    for line in (*CASES, *imported):
        config = compose(line.split())
        settings = identity_settings(config)
        keys = {name: hash_json(section)[:8] for name, section in settings.items()}
        parts |= {keys[name]: section for name, section in settings.items()}
        cases.append(
            {
                "overrides": line.split(), "arm": config.arm, "hash": hash_json(settings),
                "meaning": keys,
            }
        )  # fmt: skip
    head = {
        "numerics": NUMERICS_VERSIONS, "targets": sorted(targets), "devices": devices,
        "parts": parts,
    }  # fmt: skip
    write_rows(Path("identities.json"), head, "cases", cases)


def golden(scratch: Path) -> dict[str, Any]:
    """Train every run of GOLDEN in an output folder of its own, and return its numbers."""
    root = scratch / "golden"
    found = {}
    for number, (name, changes) in enumerate(GOLDEN.items()):
        run([f"output_root={root}", *FIXTURE, *changes, f"arm=golden{number}", "reuse=false"])
        (folder,) = root.glob(f"runs/golden{number}/seed*")
        rows = rows_of(folder)
        weights = max((folder / "checkpoints").glob("step_*")) / "model.safetensors"
        found[name] = {
            "changes": changes,
            "train": [[row[key] for key in TRAIN_KEYS] for row in rows if row["kind"] == "train"],
            "validation": [[r[k] for k in VALID_KEYS] for r in rows if r["kind"] == "validation"],
            "weights": hash_tensors(weights),
        }
    return found


def check_golden(scratch: Path) -> int:
    """Compare the golden runs with ``golden.json``; the exit code."""
    # Bits per byte are slightly lower: that build left out the bytes of the text's first token.
    kept = json.loads(Path("golden.json").read_text("utf-8"))
    if kept["machine"] != machine():
        print("note: another machine or torch than golden.json's, so bits may differ")
    found = golden(scratch)
    failed = found.keys() != kept["runs"].keys()
    for name, after in found.items():
        before = kept["runs"][name]
        bits = zip(
            *([row.pop() for row in run["validation"]] for run in (after, before)), strict=True
        )
        same = after == before and all(0.98 < new / old <= 1 for new, old in bits if new and old)
        failed |= not same
        print("ok  " if same else "FAIL", name, flush=True)
    return int(failed)


def main(piece: str, scratch: Path) -> int:
    if piece == "golden":
        return check_golden(scratch)
    make_runs(scratch)
    make_study()
    make_hf()
    make_identities()
    columns = {"train": list(TRAIN_KEYS), "validation": list(VALID_KEYS)}
    head = {"machine": machine(), "columns": columns, "overrides": FIXTURE}
    write_rows(Path("golden.json"), head, "runs", golden(scratch))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
