from __future__ import annotations

from pathlib import Path

import pytest
from user_settings_file import use_settings

from lmlab.config.compose import compose
from lmlab.config.target_validation import check_component
from lmlab.errors import ConfigError


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        (
            "optim._target_=os.system",
            ["optim._target_=os.system: expected a target in one of lmlab., lmlab_studies., "],
        ),
        (
            "optim._target_=lmlabx.adamw",
            ["optim._target_=lmlabx.adamw: expected a target in one of lmlab., "],
        ),
        ("optim._target_=lmlab.optim.adamw.adam", ["optim._target_", 'did you mean "adamw"']),
        ("optim._target_=lmlab.optim.adma.adamw", ["no module named 'lmlab.optim.adma'"]),
        (
            "+optim.momentum=0.9",
            ["optim.momentum=0.9: unknown parameter of", "valid parameters: lr, betas, eps"],
        ),
        ("+optim.weight_dcay=0.9", ['did you mean "optim.weight_decay"']),
        ("optim.lr=fast", ["optim.lr=fast: expected a number"]),
        ("optim.betas=[0.9,a]", ["optim.betas=[0.9, 'a']: expected a list of numbers"]),
        ("optim.lr=null", ["optim.lr=null: expected a number"]),
        ("model.tie_embeddings=maybe", ["model.tie_embeddings=maybe: expected true or false"]),
        ("model.attention.qk_norm=1", ["model.attention.qk_norm=1: expected true or false"]),
        ("model.attention.num_kv_heads=2.5", ["num_kv_heads=2.5: expected an integer or null"]),
        (
            "+model.dropuot=0.1",
            ["model.dropuot=0.1: unknown setting; expected one of", "model.d_ff"],
        ),
        (
            "+training.stpes=3",
            ['help: did you mean "training.steps"? Or run python -m lmlab.train --help'],
        ),
        (
            "++samples.foo.bar=1",
            ["samples.foo={'bar': 1}: unknown setting; expected one of samples.count"],
        ),
        ("+foo=1", ["foo=1: unknown setting\nhelp: run python -m lmlab.train --help"]),
        (
            "+runtime.precision=fp32",
            ["runtime.precision: this setting was removed\nhelp: use runtime.policy"],
        ),
        ("~seeds", ["seeds: missing required setting"]),
        (
            "+optim.params=[]",
            [
                "optim.params=[]: this parameter is computed automatically\n"
                "help: remove optim.params"
            ],
        ),
        (
            "+schedule.total_steps=5",
            ["schedule.total_steps=5: this parameter is computed automatically"],
        ),
        (
            "+schedule.tokens_per_step=5",
            ["schedule.tokens_per_step=5: this parameter is computed automatically"],
        ),
        ("+model.pos.d_head=5", ["model.pos.d_head=5: this parameter is computed automatically"]),
        ("~optim.lr", ["optim: lmlab.optim.adamw.adamw requires lr\nhelp: set optim.lr="]),
        (
            "~model.norm._target_",
            ["model.norm={'eps': 1e-05}: expected a component with a _target_"],
        ),
    ],
)
def test_an_invalid_component_or_key_is_refused(override: str, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        compose([override])
    assert all(part in str(caught.value) for part in parts), str(caught.value)


def test_what_a_study_computes_may_not_be_set() -> None:
    for setting in ("sealed=false", "rungs=[]", "generator={}"):
        with pytest.raises(ConfigError, match=r"design\.\w+=.*computed automatically"):
            compose(["experiment=ladder", f"++design.{setting}"])
    with pytest.raises(ConfigError, match=r"earlier_looks=\[2\]: .*computed automatically"):
        compose(["experiment=ablate_norm", "++design.earlier_looks=[2]"])


def test_parameters_of_another_option_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"optim\.betas.*sgd"):
        compose(["optim=sgd", "+optim.betas=[0.9,0.95]"])


def test_torch_optimizers_may_be_named_directly() -> None:
    component = {"_target_": "torch.optim.Adagrad", "lr": 0.1}
    check_component("optim", component, ("params",))
    with pytest.raises(ConfigError, match=r"optim\.lrr=0\.1"):
        check_component("optim", {"_target_": "torch.optim.Adagrad", "lrr": 0.1}, ("params",))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package of the user, importable but not trusted."""
    folder = tmp_path / "mine_for_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("from mine_for_test.norms import Mine as Mine\n")
    (folder / "norms.py").write_text(
        "raise RuntimeError('reading a signature must not import this')\n"
        "class Base:\n    def __init__(self, *, scale: float): ...\n"
        "class Mine(Base):\n    pass\n"
    )
    use_settings(tmp_path, monkeypatch, "")
    return "mine_for_test"


def trust(folder: Path, text: str) -> None:
    (folder / "settings" / "lmlab" / "config.yaml").write_text(text)


def test_only_the_user_can_trust_a_package(package: str, tmp_path: Path) -> None:
    component = {"_target_": f"{package}.norms.Mine", "scale": 2.0}
    with pytest.raises(
        ConfigError, match=r"mine_for_test.*\nhelp: .*trusted_packages in .*config\.yaml"
    ):
        check_component("model.norm", component, ())
    trust(tmp_path, f"trusted_packages: [{package}]\n")
    check_component("model.norm", component, ())
    check_component("model.norm", {"_target_": f"{package}.Mine", "scale": 2.0}, ())
    with pytest.raises(ConfigError, match=r"model\.norm\.scale=a: expected a number"):
        check_component("model.norm", component | {"scale": "a"}, ())


@pytest.mark.parametrize("text", ["trusted_packages: mine", "trusted_packages: [1]", "a: [1"])
def test_damaged_user_settings_are_reported(package: str, tmp_path: Path, text: str) -> None:
    trust(tmp_path, text)
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        check_component("model.norm", {"_target_": f"{package}.Mine", "scale": 2.0}, ())
