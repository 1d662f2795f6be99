"""``logger=[wandb,tensorboard]``: several options of a group, each with its own settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from user_settings_file import use_settings

from lmlab.config.compose import compose, load_frozen, to_yaml
from lmlab.config.identity_settings import identity_settings
from lmlab.config.override_file import read_override_file
from lmlab.config.several_options import components_of, joined_option
from lmlab.errors import ConfigError

BOTH = "logger=[wandb,tensorboard]"


def targets(*overrides: str) -> dict[str, str]:
    node = compose(list(overrides)).logger.as_dict()
    return {
        key: one["_target_"].rpartition(".")[2]
        for key, one in components_of("logger", node).items()
    }


BOTH_TARGETS = {
    "logger.wandb": "wandb_tracker", "logger.tensorboard": "tensorboard_tracker",
}  # fmt: skip


@pytest.mark.parametrize("text", [BOTH, "logger=['wandb', \"tensorboard\"]", f"scale=smoke {BOTH}"])
def test_each_option_is_a_component(text: str) -> None:
    assert targets(*text.replace(", ", ",").split(" ")) == BOTH_TARGETS


def test_one_option_is_as_without_a_list() -> None:
    assert compose(["logger=[wandb]"]).logger == compose(["logger=wandb"]).logger
    assert targets("logger=wandb") == {"logger": "wandb_tracker"}


def test_each_has_the_defaults_of_its_file_and_its_own_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WANDB_ENTITY", "team")
    alone = compose(["logger=wandb"]).logger
    both = compose([BOTH, "logger.wandb.project=mine", "logger.tensorboard.dir=events"]).logger
    assert both.wandb == alone.as_dict() | {"project": "mine"}
    assert both.wandb["entity"] == "team", "the environment counts here, too"
    assert both.tensorboard["dir"] == "events"
    assert both.tensorboard["flush_seconds"] == 30.0


def test_a_later_choice_replaces_all_of_them(tmp_path: Path, monkeypatch) -> None:
    use_settings(tmp_path, monkeypatch, f"search_path: [{tmp_path / 'conf'}]\n")
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    for name, text in {
        "body": "logger: [wandb, tensorboard]\n",
        "choice": "defaults:\n  - override /logger: [wandb, tensorboard]\n",
    }.items():
        (tmp_path / "conf" / "experiment" / f"{name}.yaml").write_text(text)
        assert targets(f"experiment={name}") == BOTH_TARGETS
        assert targets(f"experiment={name}", "logger=none") == {"logger": "no_tracker"}
    mine = compose(["experiment=body", "logger.wandb.project=mine"])
    assert mine.logger.wandb["project"] == "mine"


def test_a_file_of_overrides_may_list_them(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("logger: [wandb, tensorboard]\n")
    assert targets(*read_override_file(file)) == BOTH_TARGETS


def test_the_recorded_configuration_is_read_again(tmp_path: Path) -> None:
    config = compose([BOTH, "logger.wandb.tags=[a]"])
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert load_frozen(tmp_path / "config.yaml").logger == config.logger


def test_trackers_are_not_in_the_identity() -> None:
    assert identity_settings(compose([BOTH])) == identity_settings(compose(["logger=none"]))


@pytest.mark.parametrize(
    ("overrides", "message", "help"),
    [
        (
            "logger=[wandb,tensorbord]",
            "logger=tensorbord: expected one of none, tensorboard",
            "did",
        ),
        ("logger=[wandb,none]", "expected options other than none", "list"),
        ("logger=[]", "expected an option", "logger=none"),
        ("logger=[wandb,wandb]", "wandb is listed twice", "remove"),
        (f"{BOTH} logger.project=x", "expected a setting of one of wandb", "logger.wandb.project"),
        (f"{BOTH} logger.wandb.projekt=x", "unknown parameter", "logger.wandb.project"),
        (f"{BOTH} logger.tensorboard.flush_seconds=x", "flush_seconds=x: expected a number", ""),
        ("model.norm=[pre,post]", "expected one option, not a list", "model.norm=pre"),
    ],
)
def test_mistakes_name_the_fix(overrides: str, message: str, help: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(overrides.split())
    assert message in caught.value.message
    assert help in (caught.value.help or "")


def test_a_node_of_another_package_is_refused_below_a_name() -> None:
    """What a copied configuration may name does not depend on where in the node it stands."""
    with pytest.raises(ConfigError, match="expected a target in one of"):
        compose([BOTH, "logger.wandb._target_=os.system"])
    with pytest.raises(ConfigError, match="meant for logger"):
        compose([BOTH, "logger.wandb._target_=lmlab.nn.ffn.SwiGLU"])


def test_other_groups_and_values_stay_as_they_are() -> None:
    assert joined_option("model/norm", ["pre", "post"]) == ["pre", "post"]
    assert joined_option("logger", "wandb,none") == "wandb,none", "two runs of a sweep"
