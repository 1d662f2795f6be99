"""Freed memory stays with the process and is not requested from the kernel again."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

CODE = """
import ctypes, json, resource, sys
import torch
from lmlab.runtime.malloc import retain_freed_memory
if sys.argv[1] == "retained":
    retain_freed_memory()
torch.set_num_threads(1)
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work():
    for size in (1 << 20, 5 << 20, 20 << 20):  # float32
        torch.ones(size)
for _ in range(3):
    work()
before = faults()
for _ in range(10):
    work()
print(json.dumps([faults() - before, hasattr(ctypes.CDLL(None), "mallopt")]))
"""


def faults_of(mode: str) -> int:
    done = subprocess.run([sys.executable, "-c", CODE, mode], capture_output=True, check=True)
    faults, has_mallopt = json.loads(done.stdout)
    if not has_mallopt:
        pytest.skip("this C library has no mallopt")
    return int(faults)


@pytest.mark.long
def test_large_tensors_reuse_freed_memory() -> None:
    # Not zero: a small allocation inside freed memory can make the heap grow again.
    assert 4 * faults_of("retained") < faults_of("returned")
