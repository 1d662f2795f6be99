"""Options and variants that live outside the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmlab.build.factory import build_network
from lmlab.config import hydra_app
from lmlab.config.compose import compose
from lmlab.errors import ConfigError

CLASS = """
from lmlab.nn.norm import PreRMSNorm

class Mine(PreRMSNorm):
    pass
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder with a variant, an option for it, and an experiment that chooses it."""
    (tmp_path / "my_conf" / "model" / "norm").mkdir(parents=True)
    (tmp_path / "my_conf" / "experiment").mkdir()
    (tmp_path / "my_norms_for_test.py").write_text(CLASS)
    (tmp_path / "my_conf" / "model" / "norm" / "mine.yaml").write_text(
        "_target_: my_norms_for_test.Mine\neps: 1.0e-3\n"
    )
    (tmp_path / "my_conf" / "experiment" / "my_study.yaml").write_text(
        "study: my_study\nmodel:\n  norm: mine\n"
    )
    (tmp_path / "settings" / "lmlab").mkdir(parents=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.syspath_prepend(str(tmp_path))
    settings(tmp_path, "trusted_packages: [my_norms_for_test]\nsearch_path: [../../my_conf]\n")
    return tmp_path


def settings(home: Path, text: str) -> None:
    (home / "settings" / "lmlab" / "config.yaml").write_text(text)


def composed(*argv: str) -> object:
    found: list[object] = []
    assert hydra_app.main(argv, lambda config: found.append(config) or 0) == 0
    return found[0]


@pytest.mark.parametrize("word", ["model.norm=mine", "model/norm=mine", "experiment=my_study"])
def test_an_option_outside_is_chosen_like_one_inside(home: Path, word: str) -> None:
    for config in (compose([word]), composed(word)):
        assert config.model.norm == {"_target_": "my_norms_for_test.Mine", "eps": 1e-3}
        assert type(build_network(config.model).final_norm).__name__ == "RMSNorm"


def test_a_wrong_name_lists_the_users_options_too(home: Path) -> None:
    with pytest.raises(ConfigError, match=r"accepted are layernorm, mine, none.*mean \"mine\""):
        compose(["model.norm=mne"])


def test_the_folder_alone_brings_no_trust(home: Path) -> None:
    settings(home, "search_path: [../../my_conf]\n")
    with pytest.raises(ConfigError, match=r"my_norms_for_test\.Mine.*trusted_packages"):
        compose(["model.norm=mine"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("search_path: [../nowhere]\n", "nowhere is no folder"),
        ("search_path: ../../my_conf\n", "accepted is a list of folders"),
        ("serch_path: []\n", 'did you mean "search_path"'),
        ("[1]\n", "holds no keys"),
    ],
)
def test_mistakes_in_the_settings_are_told(home: Path, text: str, told: str) -> None:
    settings(home, text)
    with pytest.raises(ConfigError, match=told):
        compose([])


def test_an_option_that_would_never_be_seen_is_refused(home: Path) -> None:
    (home / "my_conf" / "model" / "norm" / "post.yaml").write_text("_target_: a.B\n")
    with pytest.raises(ConfigError, match=r"post\.yaml has the name of an option of lmlab's"):
        compose([])
