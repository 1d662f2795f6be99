"""Options and components outside the repository."""

from __future__ import annotations

from pathlib import Path

import pytest
from user_settings_file import use_settings

from lmlab.build.network import build_network
from lmlab.config import hydra_app
from lmlab.config.compose import compose
from lmlab.config.run_config import RunConfig
from lmlab.errors import ConfigError

CLASS = """
from lmlab.nn.norm import PreRMSNorm

class Mine(PreRMSNorm):
    pass
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder with a component, an option for it, and an experiment that chooses it."""
    (tmp_path / "my_conf" / "model" / "norm").mkdir(parents=True)
    (tmp_path / "my_conf" / "experiment").mkdir()
    (tmp_path / "my_norms_for_test.py").write_text(CLASS)
    (tmp_path / "my_conf" / "model" / "norm" / "mine.yaml").write_text(
        "_target_: my_norms_for_test.Mine\neps: 1.0e-3\n"
    )
    (tmp_path / "my_conf" / "experiment" / "my_study.yaml").write_text(
        "study: my_study\nmodel:\n  norm: mine\n"
    )
    text = "trusted_packages: [my_norms_for_test]\nsearch_path: [../../my_conf]\n"
    use_settings(tmp_path, monkeypatch, text)
    return tmp_path


def settings(home: Path, text: str) -> None:
    (home / "settings" / "lmlab" / "config.yaml").write_text(text)


def composed(*arguments: str) -> RunConfig:
    found: list[RunConfig] = []
    assert hydra_app.main(arguments, lambda config: found.append(config) or 0) == 0
    return found[0]


@pytest.mark.parametrize("override", ["model.norm=mine", "model/norm=mine", "experiment=my_study"])
def test_a_users_option_is_chosen_like_one_of_lmlab(home: Path, override: str) -> None:
    for config in (compose([override]), composed(override)):
        assert config.model.norm == {"_target_": "my_norms_for_test.Mine", "eps": 1e-3}
        assert type(build_network(config.model).final_norm).__name__ == "RMSNorm"


def test_a_wrong_option_lists_the_users_options_too(home: Path) -> None:
    with pytest.raises(
        ConfigError,
        match=r"expected one of dyt, layernorm, mine, none.*\nhelp: did you mean \"mine\"",
    ):
        compose(["model.norm=mne"])


def test_a_folder_of_options_does_not_make_a_package_trusted(home: Path) -> None:
    settings(home, "search_path: [../../my_conf]\n")
    with pytest.raises(
        ConfigError,
        match=r"my_norms_for_test\.Mine: expected a target in .*\nhelp: .*trusted_packages",
    ):
        compose(["model.norm=mine"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("search_path: [../nowhere]\n", "search_path: no such folder: "),
        ("search_path: ../../my_conf\n", "expected a list of folders"),
        ("serch_path: []\n", 'did you mean "search_path"'),
        ("[1]\n", "expected keys with values"),
    ],
)
def test_mistakes_in_the_settings_are_reported(home: Path, text: str, message: str) -> None:
    settings(home, text)
    with pytest.raises(ConfigError, match=message):
        compose([])


def test_an_option_with_the_name_of_one_of_lmlab_is_refused(home: Path) -> None:
    (home / "my_conf" / "model" / "norm" / "post.yaml").write_text("_target_: a.B\n")
    with pytest.raises(ConfigError, match=r"post\.yaml: lmlab already has an option of this name"):
        compose([])
