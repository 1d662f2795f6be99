"""Memory that a run frees stays with its process, and is not asked for again."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

CODE = """
import ctypes, json, resource, sys
import torch
from lmlab.runtime.malloc import retain_freed_memory
if sys.argv[1] == "kept":
    retain_freed_memory()
torch.set_num_threads(1)
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work():
    for size in (1 << 20, 5 << 20, 20 << 20):  # numbers of 4 bytes
        torch.ones(size)
for _ in range(3):
    work()
before = faults()
for _ in range(10):
    work()
print(json.dumps([faults() - before, hasattr(ctypes.CDLL(None), "mallopt")]))
"""


def faults_of(mode: str) -> int:
    told = subprocess.run([sys.executable, "-c", CODE, mode], capture_output=True, check=True)
    faults, has_mallopt = json.loads(told.stdout)
    if not has_mallopt:
        pytest.skip("this C library has no mallopt")
    return int(faults)


def test_large_tensors_come_from_memory_that_the_process_has() -> None:
    # Not none: a small piece that lands amid freed memory makes the heap grow once more.
    assert 4 * faults_of("kept") < faults_of("asked for again")
