"""A setting or option that does not exist is answered from what was chosen, with the nearest."""

from __future__ import annotations

from pathlib import Path

import pytest
from user_settings_file import use_settings

from lmlab.config import hydra_app
from lmlab.config.compose import compose
from lmlab.errors import ConfigError


@pytest.mark.parametrize(
    ("overrides", "valid"),
    [
        (
            ["optim=sgd", "optim.betas=[0.9,0.99]"],
            "lr, momentum, weight_decay, nesterov\n"
            "help: remove optim.betas, or select an option that has it: optim=adamw, "
            "optim=ademamix, optim=lion, optim=muon, optim=schedule_free_adamw, optim=soap",
        ),
        (
            ["data=text", "data.train=a", "data.valid=b", "data.seed=1"],
            "train, valid, valid_fraction, column, documents, tokens, near_duplicates, windows\n"
            "help: remove data.seed, or select an option that has it: data=toystories",
        ),
        (
            ["model.norm=none", "model.norm.eps=1"],
            "none\nhelp: remove model.norm.eps, or select an option that has it: "
            "model.norm=layernorm, model.norm=post, model.norm=rms",
        ),
        (
            ["optim.min_lr_ratio=3"],
            'lr, betas, eps, weight_decay\nhelp: did you mean "schedule.min_lr',
        ),
        (["optim.lrr=3"], 'lr, betas, eps, weight_decay\nhelp: did you mean "optim.lr"?'),
    ],
)
def test_the_parameters_named_are_those_of_the_chosen_option(
    overrides: list[str], valid: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(overrides)
    assert f"valid parameters: {valid}" in str(caught.value)


def test_an_option_that_cannot_be_read_has_no_parameter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "optim").mkdir()
    (tmp_path / "optim" / "damaged.yaml").write_text("a: [1\n")
    use_settings(tmp_path, monkeypatch, f"search_path: [{tmp_path}]\n")
    with pytest.raises(ConfigError, match=r"optim\.betas=.*: unknown parameter"):
        compose(["optim=sgd", "optim.betas=[0.9,0.99]"])


def test_a_parameter_that_no_file_sets_needs_no_plus() -> None:
    assert compose(["model.attention.qk_norm_eps=1e-6"]).model.attention.qk_norm_eps == 1e-6


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        ("lr=1e-3", '"optim.lr"?'),
        ("norm=post", '"model.norm"?'),
        ("steps=3", '"training.steps"?'),
        ("batch_size=3", '"training.batch_size" or "validation.batch_size"?'),
        ("learning_rate=3", '"optim.lr"?'),
        ("n_layer=3", '"model.num_layers"?'),
        ("runtime.thread=3", '"runtime.threads"?'),
        ("model.nrom=rms", '"model.norm"?'),
    ],
)
def test_a_setting_is_found_by_its_last_name(given: str, nearest: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose([given])
    assert f"did you mean {nearest}" in str(caught.value)


def test_nothing_is_suggested_where_nothing_is_near() -> None:
    with pytest.raises(ConfigError) as caught:
        compose(["zloss=0.1"])
    assert "did you mean" not in str(caught.value)


GPT2 = 'did you mean "gpt2_small", "gpt2_medium", "gpt2_large" or "gpt2_xl"?'


@pytest.mark.parametrize(
    ("given", "help"),
    [
        ("model=gpt2", GPT2),
        ("model=gpt3", GPT2),
        ("model=gpt2-small", 'did you mean "gpt2_small"?'),
        ("model.norm=rmsnorm", 'did you mean "rms"?'),
        ("model.norm=LayerNorm", 'did you mean "layernorm"?'),
        ("optim=adam", 'did you mean "adamw"?'),
        ("data=tiny", 'did you mean "tinystories"?'),
        ("experiment=ablate", 'did you mean "ablate_ffn", "ablate_norm" or "ablate_pos"?'),
    ],
)
def test_an_option_is_found_by_its_beginning_and_its_family(given: str, help: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose([given])
    assert caught.value.help == help


def test_an_option_in_a_folder_that_is_not_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "my_conf" / "model" / "norm" / "olmo2.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("_target_: my_parts.OLMo2\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        compose(["model.norm=olmo2"])
    assert str(file) in str(caught.value.help)
    assert f"add {tmp_path / 'my_conf'} to search_path in" in str(caught.value.help)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("logger=[none,trackio]", "logger=[none,trackio]: expected options other than none"),
        ("model/norm=[rms]", "model.norm=[rms]: expected one option, not a list"),
        (
            "optim=3",
            "optim=3: expected one of adafactor, adamw, ademamix, lion, muon, "
            "schedule_free_adamw, sgd, soap",
        ),
        (
            "optim=null",
            "optim=null: expected one of adafactor, adamw, ademamix, lion, muon, "
            "schedule_free_adamw, sgd, soap",
        ),
        ("optim=", "optim=: expected an option"),
        ("design.question=why", "design.question=why: design is null, and has no settings"),
        ("arm.x=3", "arm.x=3: unknown setting; arm holds one value"),
        ("seed.x=3", "seed.x=3: unknown setting; seed holds one value"),
    ],
)
def test_what_is_no_option_and_no_setting_is_refused_in_words(given: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose([given])
    assert caught.value.message == message


def test_a_list_of_options_in_an_experiment_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "two.yaml").write_text("logger: [none, trackio]\n")
    arguments = ["experiment=two", "--config-dir", str(tmp_path)]
    assert hydra_app.main(arguments, lambda config: 0) == 2
    assert "logger=[none,trackio]: expected options other than none" in capsys.readouterr().err
