"""The jobs of a multirun on this machine, each in its own process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from lmlab.config.compose import Config, to_yaml
from lmlab.io import atomic_write_text, hash_json


def run_jobs(configs: Sequence[Config]) -> list[int]:
    """Run each frozen configuration to its end, one after the other.

    A job that fails, is killed or exits never ends the others.

    Returns:
        The exit codes, in order.
    """
    codes = []
    for number, config in enumerate(configs, start=1):
        print(f"--- job {number} of {len(configs)}: {config.arm}, seed {config.seed}", flush=True)
        frozen = freeze_file(config)
        command = [sys.executable, "-m", "lmlab.run", str(frozen)]
        codes.append(subprocess.run(command, check=False).returncode)
    failed = [config for config, code in zip(configs, codes, strict=True) if code]
    print(f"--- {len(configs) - len(failed)} of {len(configs)} jobs ended well")
    for config, code in zip(configs, codes, strict=True):
        if code:
            print(f"    {config.arm}, seed {config.seed}: exit code {code}")
    return codes


def freeze_file(config: Config) -> Path:
    """Write a frozen configuration below its output root, named by its content."""
    text = to_yaml(config)
    folder = Path(config.output_root) / "cache" / "frozen"
    path = folder / f"{hash_json(text)[:16]}.yaml"
    atomic_write_text(path, text)
    return path
