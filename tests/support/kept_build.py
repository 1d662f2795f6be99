"""What the build of commit b51ca59 left in ``kept_run/``, and the same measured with this build.

``kept_run/`` holds the output folders of that build: a finished run, an unfinished one, and a
sweep; with ``expected.json`` (how the runs end), ``identities.json`` and ``golden.json``.
``make_kept_run.sh`` says how they were made.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
from pathlib import Path
from typing import Any

KEPT = Path(__file__).parent / "kept_run"


def read(name: str) -> dict[str, Any]:
    """Read one of the JSON files of ``kept_run/``."""
    content: dict[str, Any] = json.loads((KEPT / name).read_text("utf-8"))
    return content


def cases() -> list[dict[str, Any]]:
    """The cases of ``identities.json``: overrides, arm, identity settings and their hash.

    In the file, each section of the settings is replaced by a hash, since most cases share most
    sections.
    """
    kept = read("identities.json")
    return [
        case | {"settings": {name: kept["parts"][part] for name, part in case["meaning"].items()}}
        for case in kept["cases"]
    ]


def machine() -> dict[str, Any]:
    """What the last bits of a run may depend on."""
    import torch

    cpuinfo = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    processor: dict[str, Any] = {
        key: match[1].strip()
        for key in ("model name", "cpu family", "model", "stepping")
        if (match := re.search(rf"^{key}\s*:(.*)$", cpuinfo, re.M))
    }
    flags = re.search(r"^flags\s*:(.*)$", cpuinfo, re.M)
    vector = re.compile(r"avx|fma|amx|sse4")
    processor["flags"] = sorted(filter(vector.match, flags[1].split())) if flags else []
    return {
        "cpu": processor,
        "machine": platform.machine(),
        "torch": torch.__version__,
        "torch_cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }


def rows_of(run: Path) -> list[dict[str, Any]]:
    """The rows of ``metrics.jsonl`` without measured times."""
    times = ("seconds", "tokens_per_second")
    rows = map(json.loads, (run / "metrics.jsonl").read_text("utf-8").splitlines())
    return [{key: value for key, value in row.items() if key not in times} for row in rows]


def hash_tensors(path: Path) -> str:
    """SHA-256 of names, types, shapes and bytes of a safetensors file, in the order of names.

    Random states are excluded: nothing draws from them, and torch seeds them in each process.
    """
    import safetensors.torch

    digest = hashlib.sha256()
    for name, tensor in sorted(safetensors.torch.load_file(path).items()):
        if not name.startswith("random."):
            digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
            digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def end_of(run: Path) -> dict[str, Any]:
    """How a finished run ended, in the form of ``expected.json``."""
    checkpoint = max((run / "checkpoints").glob("step_*"))
    best = max((run / "checkpoints").glob("best_*"))
    status = json.loads((run / "status.json").read_text("utf-8"))
    progress = json.loads((checkpoint / "state.json").read_text("utf-8"))["progress"]
    rows = rows_of(run)
    last = {row["kind"]: row for row in rows}
    files = [checkpoint / "model.safetensors", checkpoint / "training.safetensors"]
    files.append(best / "model.safetensors")
    return {
        "status": status["status"],
        "step": status["step"],
        "tokens": status["tokens"],
        "final_train_loss": last["train"]["loss"],
        "final_validation_loss": last["validation"]["loss"],
        "best_loss": progress["best_loss"],
        "best_step": progress["best_step"],
        "sha256_of_tensors": {str(file.relative_to(run)): hash_tensors(file) for file in files},
        "rows": rows,
    }
