"""A member of a stack ends, fails and resumes without an effect on the others."""

from __future__ import annotations

from pathlib import Path

from stacks import members, runs, stack, weights

from lmlab.config.compose import compose, to_yaml
from lmlab.run_folder import RunFolder
from lmlab.runs.stacked.__main__ import main
from lmlab.runs.stacked.execute_stack import execute_stack


def test_a_member_diverges_alone(overrides, tmp_path: Path) -> None:
    calm, wild = tmp_path / "calm", tmp_path / "wild"
    arms = {"a": ["optim.lr=1e-3"], "b": ["optim.lr=2e-3"], "c": ["optim.lr=3e-3"]}
    stack(members(overrides, calm, **arms))
    stack(members(overrides, wild, **(arms | {"b": ["optim.lr=1e30"]})))
    assert runs(wild)["b"].status()["status"] == "diverged"
    for arm in ("a", "c"):
        assert runs(wild)[arm].status()["status"] == "done"
        assert weights(runs(wild)[arm], 20) == weights(runs(calm)[arm], 20)
    assert weights(runs(calm)["b"], 20) != weights(runs(calm)["a"], 20)


def test_a_finished_member_keeps_its_index(overrides, tmp_path: Path) -> None:
    """One of three members resumes after the others have finished, with the bits of the stack."""
    straight, cut = tmp_path / "straight", tmp_path / "cut"
    stack(members(overrides, straight))
    stack(members(overrides, cut))
    late = runs(cut)["b"]
    removed = late.checkpoints / "step_00000020"
    for path in removed.iterdir():
        path.unlink()
    removed.rmdir()
    late.write_status("interrupted", step=15)
    stack(members(overrides, cut))
    assert late.status()["status"] == "done"
    assert weights(late, 20) == weights(runs(straight)["b"], 20)
    assert len(runs(cut)["a"].meta()["sessions"]) == 1


def test_an_error_of_one_member_ends_it_alone(overrides, tmp_path: Path) -> None:
    wanted = members(overrides, tmp_path)
    held = compose(wanted[1])
    with RunFolder(Path(held.output_root) / "runs" / "b" / "seed2").lock():
        ended = execute_stack([compose(own) for own in wanted])
        files = [tmp_path / f"{index}.yaml" for index in range(3)]
        for file, own in zip(files, wanted, strict=True):
            file.write_text(to_yaml(compose(own)))
        assert main([str(file) for file in files]) == 75, "the launch can tell it from a failure"
    assert [member.exit_code for member in ended] == [0, 75, 0]
    started = {name for name, run in runs(tmp_path).items() if any(run.path.iterdir())}
    assert started == {"a", "c"}, "of the other there is the folder of its lock"
    assert (
        runs(tmp_path)["a"].status()["status"] == runs(tmp_path)["c"].status()["status"] == "done"
    )
