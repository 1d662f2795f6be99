from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import get_object

from lmlab.config.compose import compose
from lmlab.config.paths import conf_folder
from lmlab.config.signatures import read_signature
from lmlab.config.target_validation import check_leaf
from lmlab.config.value_types import accepts, in_words
from lmlab.errors import ConfigError


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        ("float", [1, 1.5, -2], ["1", True, None, [1.0]]),
        ("int", [1, -2], [1.5, "1", True, None]),
        ("bool", [True, False], [1, "true", None]),
        ("str", ["a"], [1, None, ["a"]]),
        ("int | None", [1, None], ["1", 1.5]),
        ("Optional[int]", [1, None], ["1", 1.5]),
        ("Union[int, str]", [1, "a"], [1.5, None]),
        ("str | list[str]", ["a", ["a", "b"]], [1, [1], None]),
        ("Sequence[float]", [[0.9, 1], []], ["ab", 0.9, [True], ["a"]]),
        ("tuple[float, float]", [[0.9, 1]], [[0.9], [0.9, 1, 2], ["a", "b"]]),
        ("tuple[int, ...]", [[1, 2, 3], []], [[1.5]]),
        ("Literal['a', 'b']", ["a", "b"], ["c", 1]),
        ("dict[str, int]", [{"a": 1}], [[1], "a"]),
        ("'int'", [1], ["a"]),
        ("typing.Sequence[int]", [[1]], [["a"]]),
        ("torch.Tensor", [1, "a", None], []),
        (None, [1, "a", None], []),
    ],
)
def test_values_fit_annotations(annotation: str | None, good: list[Any], bad: list[Any]) -> None:
    assert [value for value in good if not accepts(annotation, value)] == []
    assert [value for value in bad if accepts(annotation, value)] == []


def test_annotations_are_told_in_words() -> None:
    annotations = [
        "float",
        "int | None",
        "str | list[str]",
        "'Sequence[float]'",
        "Path",
        "dict[str, int]",
        "a.B",
        None,
    ]
    assert [in_words(annotation) for annotation in annotations] == [
        "a number", "a whole number or null", "a text or a list of texts", "a list of numbers",
        "a path", "names with values, {name: value}", "a.B", "Any",
    ]  # fmt: skip


def targets() -> list[str]:
    found = set()
    for path in conf_folder().rglob("*.yaml"):
        for line in path.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "_target_" and value.strip().startswith(("lmlab.", "lmlab_studies.")):
                found.add(value.strip())
    return [*sorted(found), "torch.optim.AdamW", "torch.optim.SGD", "torch.optim.adam.Adam"]


@pytest.mark.parametrize("target", targets())
def test_signatures_read_from_source_are_the_real_ones(target: str) -> None:
    signature = read_signature(target)
    assert signature is not None
    real = inspect.signature(get_object(target)).parameters.values()
    named = [p for p in real if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    assert list(signature.parameters) == [p.name for p in named]
    assert [p.has_default for p in signature.parameters.values()] == [
        p.default is not p.empty for p in named
    ]
    assert signature.takes_any == any(p.kind is p.VAR_KEYWORD for p in real)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("optim._target_=os.system", ["optim._target_=os.system", "lmlab., torch.optim."]),
        ("optim._target_=lmlabx.adamw", ["lmlab., torch.optim."]),
        ("optim._target_=lmlab.optim.adamw.adam", ["optim._target_", 'did you mean "adamw"']),
        ("optim._target_=lmlab.optim.adma.adamw", ["no module 'lmlab.optim.adma'"]),
        ("+optim.momentum=0.9", ["optim.momentum=0.9", "no such knob", "lr, betas, eps"]),
        ("+optim.weight_dcay=0.9", ['did you mean "weight_decay"']),
        ("optim.lr=fast", ["optim.lr=fast: accepted is a number"]),
        ("optim.betas=[0.9,a]", ["optim.betas=[0.9, 'a']: accepted is a list of numbers"]),
        ("optim.lr=null", ["optim.lr=null: accepted is a number"]),
        ("model.tie_embeddings=maybe", ["model.tie_embeddings=maybe: accepted is true or false"]),
        ("model.attention.qk_norm=1", ["model.attention.qk_norm=1: accepted is true or false"]),
        ("model.attention.num_kv_heads=2.5", ["accepted is a whole number or null"]),
        ("+model.dropuot=0.1", ["model.dropuot=0.1: there is no setting", "model.d_ff"]),
        ("+training.stpes=3", ['did you mean "training.steps"? python']),
        ("++samples.foo.bar=1", ["samples.foo=", "there is no setting samples.foo"]),
        ("+foo=1", ["foo=1: there is no setting foo. python"]),
        ("+runtime.precision=fp32", ["use runtime.policy"]),
        ("~seeds", ["seeds is missing"]),
        ("+optim.params=[]", ["optim.params=[]: it is set by the program"]),
        ("+schedule.total_steps=5", ["schedule.total_steps=5: it is set by the program"]),
        ("+model.pos.d_head=5", ["set by the program"]),
        ("~optim.lr", ["optim", "needs lr", "set optim.lr="]),
        ("~model.norm._target_", ["model.norm", "_target_"]),
    ],
)
def test_what_the_gate_refuses(override: str, told: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        compose([override])
    assert all(part in str(caught.value) for part in told), str(caught.value)


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("steps=3", "training.steps"),
        ("training.lr=3", "optim.lr"),
        ("train.steps=3", "training.steps"),
        ("optim.lrr=3", "optim.lr"),
        ("modle=tiny", "model"),
        ("+training.ema=0.9", None),
    ],
)
def test_the_nearest_setting_is_that_of_the_nearest_name(word: str, near: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        compose([word])
    found = re.search(r'did you mean "(.*?)"', str(caught.value))
    assert (found and found[1]) == near


def test_knobs_left_over_from_another_option_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"optim\.betas.*sgd"):
        compose(["optim=sgd", "+optim.betas=[0.9,0.95]"])


def test_torch_optimizers_may_be_named_directly() -> None:
    leaf = {"_target_": "torch.optim.Adagrad", "lr": 0.1}
    check_leaf("optim", leaf, ("params",))
    with pytest.raises(ConfigError, match=r"optim\.lrr=0\.1"):
        check_leaf("optim", {"_target_": "torch.optim.Adagrad", "lrr": 0.1}, ("params",))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package of the user's, on the path but not trusted."""
    folder = tmp_path / "mine_for_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("from mine_for_test.norms import Mine as Mine\n")
    (folder / "norms.py").write_text(
        "raise RuntimeError('reading a signature must not import this')\n"
        "class Base:\n    def __init__(self, *, scale: float): ...\n"
        "class Mine(Base):\n    pass\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    return "mine_for_test"


def trust(folder: Path, text: str) -> None:
    settings = folder / "settings" / "lmlab"
    settings.mkdir(parents=True)
    (settings / "config.yaml").write_text(text)


def test_only_the_user_can_trust_a_package(package: str, tmp_path: Path) -> None:
    leaf = {"_target_": f"{package}.norms.Mine", "scale": 2.0}
    with pytest.raises(ConfigError, match=r"mine_for_test.*trusted_packages in .*config\.yaml"):
        check_leaf("model.norm", leaf, ())
    trust(tmp_path, f"trusted_packages: [{package}]\n")
    check_leaf("model.norm", leaf, ())
    check_leaf("model.norm", {"_target_": f"{package}.Mine", "scale": 2.0}, ())
    with pytest.raises(ConfigError, match="accepted is a number"):
        check_leaf("model.norm", leaf | {"scale": "a"}, ())


@pytest.mark.parametrize("text", ["trusted_packages: mine", "trusted_packages: [1]", "a: [1"])
def test_damaged_user_settings_are_told(package: str, tmp_path: Path, text: str) -> None:
    trust(tmp_path, text)
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        check_leaf("model.norm", {"_target_": f"{package}.Mine", "scale": 2.0}, ())
