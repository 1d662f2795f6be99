"""Edited code is another run; comments, and files that a run does not use, are the same run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parents[3] / "src"
CONF = SRC.parent / "conf"
LAYER = '''"""My layers."""

import torch
from torch import nn

from .helpers import factor


class Mine(nn.Module):
    """A layer with ReLU."""

    def __init__(self, *, d_model: int, d_ff: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model)

    def forward(self, x):
        return self.down(torch.relu(self.up(x))) * factor()
'''
RELU = """

class ReLU(nn.Module):
    def __init__(self, *, d_model: int, d_ff: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.relu(self.up(x)))
"""


class Project:
    """A checkout of lmlab and a package of one's own, both to be edited."""

    def __init__(self, folder: Path, overrides: list[str]) -> None:
        self.folder, self.overrides = folder, [
            *overrides, "training.steps=3", "samples.count=0", "runtime.preflight=off",
        ]  # fmt: skip
        self.lmlab, self.mine = folder / "src" / "lmlab", folder / "mine"
        shutil.copytree(SRC, folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(CONF, folder / "conf")
        self.mine.mkdir()
        for name, text in {"__init__": "", "layers": LAYER, "other": "x = 1\n",
                           "helpers": "def factor():\n    return 1.0\n"}.items():  # fmt: skip
            (self.mine / f"{name}.py").write_text(text)
        (folder / "settings" / "lmlab").mkdir(parents=True)
        settings = folder / "settings" / "lmlab" / "config.yaml"
        settings.write_text("trusted_packages: [mine]\n")

    def edit(self, path: Path, old: str, new: str) -> None:
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), "utf-8")

    def train(self, layer: str, *overrides: str) -> str:
        """Train with a layer in a process of its own; return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "lmlab.train", *self.overrides,
             f"model.ffn={{_target_: {layer}}}", "arm=arm", *overrides],
            cwd=self.folder, capture_output=True, text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(self.folder / "src"),
                                                             str(self.folder)]),
                              "XDG_CONFIG_HOME": str(self.folder / "settings")},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr


def is_reused(printed: str) -> bool:
    return "already complete" in printed


@pytest.fixture
def project(tmp_path: Path, overrides: list[str]) -> Project:
    return Project(tmp_path / "project", overrides)


@pytest.mark.long
def test_a_part_of_ones_own(project: Project) -> None:
    layers, layer = project.mine / "layers.py", "mine.layers.Mine"
    assert not is_reused(project.train(layer))
    assert is_reused(project.train(layer))

    project.edit(layers, '"""A layer with ReLU."""', '"""Words."""\n    # and a comment\n')
    project.edit(layers, "(d_ff, d_model)", "(\n            d_ff,\n            d_model,\n        )")
    assert is_reused(project.train(layer)), "comments, docstrings and formatting"
    project.edit(project.mine / "other.py", "x = 1", "x = 2")
    assert is_reused(project.train(layer)), "a file that is not imported"

    project.edit(layers, "torch.relu", "torch.sigmoid")
    printed = project.train(layer)
    assert not is_reused(printed) and "code of mine.layers: " in printed
    assert "code of mine.helpers" not in printed
    assert is_reused(project.train(layer, "study=another"))
    project.edit(project.mine / "helpers.py", "1.0", "2.0")
    printed = project.train(layer, "study=another")
    assert not is_reused(printed), "a module that the layer imports"

    project.edit(project.mine / "helpers.py", "2.0", "3.0")
    printed = project.train(layer, "study=third", "reuse_across_code=true")
    assert is_reused(printed)
    assert re.search(r"reuse_across_code=true: taking .*code of mine\.helpers", printed)


@pytest.mark.long
def test_a_part_of_lmlab(project: Project) -> None:
    ffn, gelu = project.lmlab / "nn" / "ffn.py", "lmlab.nn.ffn.GELU"
    assert not is_reused(project.train(gelu))
    with open(ffn, "a") as file:
        file.write("# a comment\n")
    assert is_reused(project.train(gelu))
    project.edit(project.lmlab / "study" / "power.py", "import", "import sys\nimport")
    assert is_reused(project.train(gelu)), "a file that computes no losses"

    # As the README adds a variant.
    with open(ffn, "a") as file:
        file.write(RELU)
    option = project.folder / "conf" / "model" / "ffn" / "relu.yaml"
    option.write_text("_target_: lmlab.nn.ffn.ReLU\n")
    assert is_reused(project.train(gelu)), "the new class is not used"
    assert not is_reused(project.train("lmlab.nn.ffn.ReLU"))
    assert is_reused(project.train("lmlab.nn.ffn.ReLU"))
    project.edit(ffn, RELU, RELU.replace("F.relu", "F.silu"))
    printed = project.train("lmlab.nn.ffn.ReLU")
    assert not is_reused(printed) and "code of lmlab/nn/ffn.py: " in printed
    assert is_reused(project.train(gelu))

    kernel = project.lmlab / "nn" / "kernels" / "lanes.h"
    for path, old, new in (
        (kernel, "#", "// another file\n#"),
        (project.lmlab / "training" / "trainer.py", "\nclass ", "\nEDITED = 1\n\n\nclass "),
    ):
        project.edit(path, old, new)
        printed = project.train(gelu)
        name = path.relative_to(project.lmlab)
        assert not is_reused(printed) and f"code of lmlab/{name}: as recorded" in printed
