#!/bin/bash
# Importing torch._dynamo sets the environment variable TORCHINDUCTOR_CACHE_DIR of the process.
#
# Expected: TORCHINDUCTOR_CACHE_DIR is read by torch and belongs to the user. A program that wants
#   compiled kernels beside its own files sets it with os.environ.setdefault before torch.compile,
#   and os.environ tells whether the user has chosen a folder.
# Seen: torch._dynamo.package asks for the folder while it is imported, and the function that
#   answers writes its answer, the default in the folder of temporary files, into os.environ.
#   After that, setdefault does nothing, every child process inherits the folder as if the user had
#   chosen it, and nothing says so. The variable has to be set before torch._dynamo is imported, or
#   compared with torch's default.
# Versions: torch 2.13.0, numpy 2.4.6, Python 3.11, 2026-11-29.
# Exit code: 0 while this is so, 1 if it changes.
set -euo pipefail
unset PYTHONPATH TORCHINDUCTOR_CACHE_DIR  # no other packages, and no choice of the user
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "torch==2.13.0" "numpy==2.4.6"
mkdir "$folder/tmp"
TMPDIR="$folder/tmp" "$folder/venv/bin/python" - <<'PYTHON'
import os
import pathlib
import subprocess
import sys

import torch

name = "TORCHINDUCTOR_CACHE_DIR"
before = os.environ.get(name)
print("after import torch:", before)

import torch._dynamo

pinned = os.environ.get(name)
print("after import torch._dynamo:", pathlib.Path(pinned).name if pinned else None)

os.environ.setdefault(name, "mine")
print("after setdefault:", pathlib.Path(os.environ[name]).name)

inherited = subprocess.run(
    [sys.executable, "-c", f"import os; print(os.environ.get('{name}'))"],
    capture_output=True, text=True, check=True,
).stdout.strip()
print("in a child process:", pathlib.Path(inherited).name)

same = before is None and pinned is not None and os.environ[name] == pinned == inherited
sys.exit(0 if same else 1)
PYTHON
