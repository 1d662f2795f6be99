"""The wheel works in an environment without the checkout, in another folder.

Its dependencies are those of this environment, made importable by path, so that nothing is
downloaded.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Mapping
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

import lmlab

pytest.importorskip("hatchling")
ROOT = Path(__file__).parents[3]
SMALL = [
    "scale=smoke", "training.steps=4", "schedule.warmup_steps=1", "validation.max_tokens=512",
    "data.num_train_documents=100", "data.num_valid_documents=10", "samples.max_new_tokens=5",
]  # fmt: skip
# What pip writes for an entry point of [project.scripts].
SCRIPT = """\
#!{python}
import re
import sys
from {module} import {attr}
if __name__ == "__main__":
    sys.argv[0] = re.sub(r"(-script\\.pyw|\\.exe)?$", "", sys.argv[0])
    sys.exit({attr}())
"""


def run(*command: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=environment | dict(env or {}),
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has only the wheel, with its script beside it."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (wheel,) = folder.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "lmlab/conf/train.yaml" in names
    assert {"lmlab/hf/modeling_lmlab.py", "lmlab/hf/parts_lmlab.py"} <= set(names)
    assert "lmlab_studies/unicode.py" in names
    assert not [name for name in names if name.startswith(("tests", "conf", "src"))]
    venv.create(folder / "venv", with_pip=False)
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    # Makes the packages importable, but ignores .pth files among them, such as this checkout's.
    paths = [path for path in sys.path if Path(path).name == "site-packages"]
    (site / "dependencies.pth").write_text("".join(f"{path}\n" for path in paths))
    zipfile.ZipFile(wheel).extractall(site)
    python = folder / "venv" / "bin" / "python"
    (metadata,) = site.glob("lmlab-*.dist-info")
    (script,) = PathDistribution(metadata).entry_points.select(group="console_scripts")
    path = python.with_name(script.name)
    path.write_text(SCRIPT.format(python=python, module=script.module, attr=script.attr))
    path.chmod(0o755)
    return python


@pytest.mark.long
def test_a_run_a_sweep_a_report_and_an_export(python: Path, tmp_path: Path) -> None:
    location = run(python, "-c", "import lmlab; print(lmlab.__file__)", cwd=tmp_path)
    assert str(ROOT) not in location
    summary = run(python, "-m", "lmlab.train", *SMALL, cwd=tmp_path)
    assert "done at step 4 of 4" in summary
    run(python, "-m", "lmlab.train", "-m", "optim.lr=1e-3,1e-2", "study=s", *SMALL, cwd=tmp_path)
    run(python, "-m", "lmlab.report", "outputs/s", cwd=tmp_path)
    assert (tmp_path / "outputs" / "s" / "report.html").is_file()
    folder = next((tmp_path / "outputs" / "runs").glob("*/seed0"))
    run(python, "-m", "lmlab.export", f"run={folder}", "to=hf", "check=off", cwd=tmp_path)
    assert (tmp_path / "hf" / "model.safetensors").is_file()


@pytest.mark.long
def test_the_installed_program_runs(python: Path, tmp_path: Path) -> None:
    program = python.with_name("lmlab")
    assert run(program, "--version", cwd=tmp_path) == f"lmlab {lmlab.__version__}\n"
    assert "usage: lmlab report" in run(program, "report", "--help", cwd=tmp_path)
    assert "done at step 4 of 4" in run(program, "train", *SMALL, cwd=tmp_path)
    run(program, "train", "-m", "optim.lr=1e-3,1e-2", "study=s", *SMALL, cwd=tmp_path)
    run(program, "report", "outputs/s", cwd=tmp_path)
    assert (tmp_path / "outputs" / "s" / "report.html").is_file()
    run(program, "train", "experiment=unicode", "tokenizer=bytes", cwd=tmp_path)
    assert (tmp_path / "outputs" / "unicode" / "report.md").is_file()
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    line = (
        'eval "$(lmlab completion bash)"; COMP_LINE="lmlab rep"; COMP_POINT=9; '
        'COMP_WORDS=(lmlab); _lmlab_complete; echo "${COMPREPLY[@]}"'
    )
    assert run("bash", "-c", line, cwd=tmp_path, env={"PATH": path}) == "report \n"
