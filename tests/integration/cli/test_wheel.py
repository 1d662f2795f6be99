"""The wheel works in an environment without the checkout, in another folder.

Its dependencies are those of this environment, lent by path, so that nothing is downloaded.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("hatchling")
ROOT = Path(__file__).parents[3]
SMALL = [
    "scale=smoke", "training.steps=4", "schedule.warmup_steps=1", "validation.max_tokens=512",
    "data.num_train_documents=100", "data.num_valid_documents=10", "samples.max_new_tokens=5",
]  # fmt: skip


def run(*command: str | Path, cwd: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=environment, capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has only the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (wheel,) = folder.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "lmlab/conf/train.yaml" in names
    assert "lmlab/hf/modeling_lmlab.py" in names
    assert not [name for name in names if name.startswith(("tests", "conf", "src"))]
    venv.create(folder / "venv", with_pip=False)
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    # A line in a .pth file brings the packages there, but not the .pth file of this checkout.
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    zipfile.ZipFile(wheel).extractall(site)
    return folder / "venv" / "bin" / "python"


def test_a_run_a_sweep_and_a_report(python: Path, tmp_path: Path) -> None:
    where = run(python, "-c", "import lmlab; print(lmlab.__file__)", cwd=tmp_path)
    assert str(ROOT) not in where
    told = run(python, "-m", "lmlab.train", *SMALL, cwd=tmp_path)
    assert "done at step 4 of 4" in told
    run(python, "-m", "lmlab.train", "-m", "optim.lr=1e-3,1e-2", "study=s", *SMALL, cwd=tmp_path)
    told = run(python, "-m", "lmlab.report", "outputs/s", cwd=tmp_path)
    assert (tmp_path / "outputs" / "s" / "report.html").is_file()
    folder = next((tmp_path / "outputs" / "runs").glob("*/seed0"))
    run(python, "-m", "lmlab.export", f"run={folder}", "to=hf", "check=off", cwd=tmp_path)
    assert (tmp_path / "hf" / "model.safetensors").is_file()
