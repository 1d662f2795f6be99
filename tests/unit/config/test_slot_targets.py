"""What a configuration may call: for each slot what is meant for it, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from user_settings_file import use_settings

from lmlab.config.compose import compose, from_dict, load_frozen
from lmlab.config.hydra_settings import check_callbacks
from lmlab.config.paths import conf_folder
from lmlab.config.slot_targets import check_trust, registered
from lmlab.config.target_validation import SUPPLIED, check_component
from lmlab.errors import ConfigError

SLOTS = {
    "data", "tokenizer", "model.norm", "model.pos", "model.ffn", "model.attention", "model.init",
    "model.param", "optim", "schedule", "logger", "design", "ladder", "demo", "callbacks.mine",
}  # fmt: skip

OWN = """
import functools
import operator
import pathlib
from os import system
from subprocess import Popen
from pathlib import Path
from lmlab.nn.norm import PreRMSNorm
from lmlab.storage.io import make_folder
from torch.optim import Adam

touch = Path.touch
bound = functools.partial(Path.touch, pathlib.Path("marker"))
caller = operator.methodcaller("touch")

def touch_file(path): Path(path).touch()
def schedule(step, total_steps, *, path="x"): return 1.0
def optimizer(params, lr): return Adam(params, lr)
def anything(**kwargs): ...
def watches(model, size=1): return {}
def bare(): return {}
def layer(d_model, d_ff): ...

class Layer:
    def __init__(self, *, d_model, d_ff, inner=None): ...

class Norm:
    def __init__(self, *, scale=1.0): ...

class Momentum(Adam):
    pass

half = functools.partial(schedule, path="y")
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trusted package that, as any, imports much that is not meant for a configuration."""
    (tmp_path / "parts_for_slots.py").write_text(OWN)
    use_settings(tmp_path, monkeypatch, "trusted_packages: [parts_for_slots]\n")


def check(slot: str, target: str, **parameters: Any) -> None:
    supplied = SUPPLIED.get(slot, ("model", "step", "tokenizer"))
    check_component(slot, {"_target_": target, **parameters}, supplied)


def refusal(slot: str, target: str, **parameters: Any) -> str:
    """Return why a target is refused; empty if it is accepted."""
    try:
        check(slot, target, **parameters)
    except ConfigError as error:
        return error.message
    return ""


def test_every_option_fills_its_slot_and_no_other() -> None:
    options: dict[str, set[str]] = {}
    for slot in SLOTS:
        for path in (conf_folder() / slot.replace(".", "/")).glob("*.yaml"):
            content = yaml.safe_load(path.read_text("utf-8")) or {}
            content = content.get(slot, content)
            if "_target_" in content:
                options.setdefault(slot, set()).add(content["_target_"])
    assert options.keys() == SLOTS - {"callbacks.mine"}
    for slot, targets in options.items():
        extra = {"lmlab.hf.weights.Imported"} if slot == "model.init" else set()
        assert registered(slot) == targets | extra
    for slot in SLOTS:
        others = {t for other, targets in options.items() if other != slot for t in targets}
        for target in others:
            with pytest.raises(ConfigError, match=f"_target_={re.escape(target)}: expected a targ"):
                check(slot, target)


@pytest.mark.parametrize("slot", sorted(SLOTS))
@pytest.mark.parametrize(
    "target",
    [
        "lmlab.storage.io.make_folder",
        "lmlab.storage.io.os.mkdir",
        "lmlab.build.instantiate.BoundTarget",
        "lmlab.nn.init.math.exp",
        "lmlab.nn.transformer.Transformer",
        "lmlab_studies.sgd_lr.Path",
        "torch.optim.lr_scheduler.StepLR",
        "torch.optim.swa_utils.update_bn",
        "torch.optim.optimizer.Optimizer",
        "torch.optim.adamw.cast",
        "torch.optim",
        "os.system",
        "lmlab.nn./etc/passwd.x",
    ],
)
def test_nothing_else_of_lmlab_and_torch_can_be_called(slot: str, target: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{slot}\._target_={re.escape(target)}: "):
        check(slot, target)


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("slot", "target"),
    [
        *[(slot, "touch_file") for slot in sorted(SLOTS)],
        *[(slot, "make_folder") for slot in sorted(SLOTS)],
        *[("optim", name) for name in ("system", "Popen", "Path", "touch", "bound", "caller")],
        ("model.norm", "anything"),
        ("model.norm", "pathlib.Path"),
        ("model.init", "system"),
        ("model.ffn", "PreRMSNorm"),
        ("callbacks.mine", "touch"),
        ("schedule", "watches"),
        ("design", "Norm"),
    ],
)
def test_of_a_trusted_package_only_what_it_defines_for_the_slot(slot: str, target: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{slot}\._target_=parts_for_slots\.{target}: "):
        check(slot, f"parts_for_slots.{target}", path="marker")


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("slot", "target"),
    [
        ("schedule", "schedule"), ("schedule", "half"), ("optim", "optimizer"), ("optim", "Adam"),
        ("optim", "Momentum"), ("optim", "anything"), ("callbacks.mine", "watches"),
        ("callbacks.mine", "bare"), ("callbacks.mine", "anything"), ("model.norm", "Norm"),
        ("model.norm", "PreRMSNorm"), ("model.ffn", "layer"), ("model.ffn", "Layer"),
    ],
)  # fmt: skip
def test_parts_of_ones_own_fill_their_slots(slot: str, target: str) -> None:
    more = {"optimizer": {"lr": 0.1}, "PreRMSNorm": {"eps": 1e-5}}.get(target, {})
    assert refusal(slot, f"parts_for_slots.{target}", **more) == ""


def test_part_of_a_package_can_be_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, source in (("inner", "class Norm: ...\n"), ("outer", "class Other: ...\n")):
        folder = tmp_path / "package_for_slots" / name
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text(source)
    (folder.parent / "__init__.py").write_text("")
    with (folder.parent / "inner" / "__init__.py").open("a") as file:
        file.write("from package_for_slots.outer import Other\n")
    use_settings(tmp_path, monkeypatch, "trusted_packages: [package_for_slots.inner]\n")
    check("model.norm", "package_for_slots.inner.Norm")
    for target in ("package_for_slots.outer.Other", "package_for_slots.inner.Other"):
        with pytest.raises(ConfigError, match=rf"model\.norm\._target_={target}: expected a"):
            check("model.norm", target)


def test_option_files_of_a_slot_may_have_mistakes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "optim").mkdir()
    (tmp_path / "optim" / "latin.yaml").write_bytes("# \xe9t\xe9\n".encode("latin-1"))
    (tmp_path / "optim" / "misspelt.yaml").write_text("_target_: lmlab.optim.adamw.admw\n")
    use_settings(tmp_path, monkeypatch, f"search_path: [{tmp_path}]\n")
    check("optim", "torch.optim.Adam", lr=0.1)
    with pytest.raises(ConfigError, match="has no class or function 'admw'") as caught:
        check("optim", "lmlab.optim.adamw.admw")
    assert caught.value.help == 'did you mean "adamw"?'


@pytest.mark.usefixtures("own")
def test_nested_targets_are_checked_too() -> None:
    layer = "parts_for_slots.Layer"
    for inner in ("os.system", "lmlab.storage.io.make_folder", "parts_for_slots.system",
                  "parts_for_slots.touch_file", "lmlab.data.sources.TextFiles"):  # fmt: skip
        for value in ({"_target_": inner}, [{"deeper": {"_target_": inner}}]):
            with pytest.raises(ConfigError, match=rf"^model\.ffn\.inner.*_target_={inner}: "):
                check("model.ffn", layer, inner=value)
        with pytest.raises(ConfigError, match=rf"hydra\.callbacks\.mine.*_target_={inner}: "):
            check_callbacks(
                {"mine": {"_target_": "parts_for_slots.Norm", "x": {"_target_": inner}}}
            )
    check("model.ffn", layer, inner={"_target_": "parts_for_slots.Norm"})
    for inner in ("lmlab.nn.ffn.SwiGLU", "lmlab.optim.parametrization.MuP"):
        check("model.ffn", layer, inner={"_target_": inner})
    for target in ("hydra.experimental.callbacks.logging.shutdown", "lmlab.nn.ffn.make_folder"):
        with pytest.raises(ConfigError, match=r"hydra\.callbacks\.mine"):
            check_callbacks({"mine": {"_target_": target}})


def test_all_targets_are_checked_before_any_module_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module without readable source is imported for its signature: only if all is well."""
    marker = tmp_path / "marker"
    source = f"open({str(marker)!r}, 'w').close()\n"
    source += "def __getattr__(name): return lambda d_model, d_ff: None\n"
    (tmp_path / "lazy_for_slots.py").write_text(source)
    use_settings(tmp_path, monkeypatch, "trusted_packages: [lazy_for_slots]\n")
    content = compose([]).as_dict()
    content["model"]["ffn"] = {"_target_": "lazy_for_slots.Layer"}
    content["logger"] = {"_target_": "lmlab.storage.io.make_folder", "path": str(marker)}
    with pytest.raises(ConfigError, match=r"^logger\._target_"):
        from_dict(content)
    assert not marker.exists()


def test_a_saved_configuration_is_checked_as_a_typed_one(tmp_path: Path) -> None:
    content = compose([]).as_dict()
    content["model"]["norm"] = {"_target_": "lmlab.storage.io.make_folder", "path": "marker"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=r"model\.norm\._target_=lmlab\.storage\.io\.make_folder"):
        load_frozen(tmp_path / "config.yaml")


def test_a_target_of_several_lines_has_a_message_of_one() -> None:
    with pytest.raises(ConfigError) as caught:
        check_trust("model.init", "a\nb")
    assert "\n" not in caught.value.message and "'a\\nb'" in caught.value.message
