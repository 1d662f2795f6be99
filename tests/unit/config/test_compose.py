"""Every option composes; dots and slashes are equivalent; later choices win."""

from __future__ import annotations

import re
import subprocess
import sys
from os.path import expanduser
from pathlib import Path

import pytest
from part_choices import choices, options

from lmlab.config.compose import compose, load_frozen, to_yaml
from lmlab.config.paths import conf_folder
from lmlab.config.run_config import RunConfig, Seeds
from lmlab.errors import ConfigError, DataError, UserError
from lmlab.hf import config_writer as hf_config
from lmlab.storage.io import write_json
from lmlab.tokenizer import Tokenizer

GROUPS = sorted(
    str(path.relative_to(conf_folder()))
    for path in conf_folder().rglob("*")
    if path.is_dir() and path.relative_to(conf_folder()).parts[0] not in ("hydra", "experiment")
)


def required_overrides(group: str, option: str, folder: Path) -> list[str]:
    """The settings without which an option does not compose."""
    if (group, option) == ("data", "text"):
        return ["data.train=a.txt", "data.valid=b.txt"]
    if (group, option) == ("data", "tokens"):
        return ["data.train=a.bin", "tokenizer=ids"]
    if (group, option) == ("tokenizer", "saved"):
        Tokenizer({i: bytes([i]) for i in range(256)}, [], ["<|a|>", "<|b|>"]).save(folder)
        return [f"tokenizer.path={folder}"]
    if group == "design":
        arms = "{one:['model.norm=rms'],two:['model.norm=post'],three:['model.norm=none']}"
        if option == "factorial":
            factors = "{norm:['model.norm=none'],pos:['model.pos=nope']}"
            return ["design.question=why", f"design.factors={factors}"]
        if option == "leave_one_out":
            changes = "{norm:['model.norm=post'],pos:['model.pos=nope']}"
            return ["design.question=why", f"design.changes={changes}"]
        if option in ("ladder", "isoflop"):
            return ["design.question=why", f"design.arms={arms}", "design.baseline=one"]
        return ["design.question=why", "design.arms={one:['model.norm=rms']}"]
    if group == "ladder":
        rungs = ["ladder.rungs=[['model.d_model=64'],['model.d_model=128']]"]
        design = ["design=ladder", *required_overrides("design", "ladder", folder)]
        return [*design, *(rungs if option == "given" else [])]
    if (group, option) == ("data", "hub"):
        return ["data.repo=someone/stories"]
    if (group, option) == ("data", "mixture"):
        return [
            "data.sources={a: a.txt, b: {data: tokens, train: b.bin}}",
            "data.weights={a: 1, b: 2}",
        ]
    if (group, option) == ("model", "imported"):
        node = compose(["model.vocab_size=300"]).model.as_dict()
        write_json(folder / "config.json", hf_config.config_to_hf(node, d_ff=64))
        (folder / "model.safetensors").write_bytes(b"only hashed here")
        return [f"model.init.path={folder}"]
    return []


@pytest.mark.parametrize(
    ("group", "option"), [(group, option) for group in GROUPS for option in options(group)]
)
def test_every_option_composes_and_is_valid(group: str, option: str, tmp_path: Path) -> None:
    more = required_overrides(group, option, tmp_path)
    dotted = compose([f"{group.replace('/', '.')}={option}", *more])
    if option == options(group)[-1]:
        slashed = compose([f"{group}={option}", *more])
        assert dotted.as_dict() == {**slashed.as_dict(), "arm": dotted.arm}


def test_the_sizes_of_a_ladder_need_a_ladder() -> None:
    with pytest.raises(ConfigError, match="ladder: expected design=ladder"):
        compose(["ladder=sizes"])


@pytest.mark.parametrize("choice", choices(), ids=",".join)
def test_every_combination_of_parts_composes(choice: list[str]) -> None:
    config = compose(choice)
    for override in choice:
        group, _, option = override.removeprefix("model.").partition("=")
        text = (conf_folder() / "model" / group / f"{option}.yaml").read_text()
        assert f"_target_: {getattr(config.model, group).target}\n" in text


@pytest.mark.parametrize(
    ("model", "sizes"),
    [
        ("small_17m", (10_000, 256, 512, 4, 16, 1344)),
        ("gpt2_small", (50_257, 1024, 768, 12, 12, 3072)),
        ("gpt2_medium", (50_257, 1024, 1024, 24, 16, 4096)),
        ("gpt2_large", (50_257, 1024, 1280, 36, 20, 5120)),
        ("gpt2_xl", (50_257, 1024, 1600, 48, 25, 6400)),
    ],
)
def test_models_have_their_published_shapes(model: str, sizes: tuple[int, ...]) -> None:
    found = compose([f"model={model}"]).model
    keys = ("vocab_size", "context_length", "d_model", "num_layers", "num_heads", "d_ff")
    assert tuple(getattr(found, key) for key in keys) == sizes


def target(config: RunConfig) -> str:
    return str(config.model.norm.target).rpartition(".")[2]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["model.norm=post", "model/norm=none"], "NoNorm"),
        (["model/norm=none", "model.norm=post"], "PostRMSNorm"),
        (["model.norm=post", "model=small_17m"], "PostRMSNorm"),
        (["model=small_17m", "model.norm=post"], "PostRMSNorm"),
        (["model.norm=post", "model.norm.eps=1e-3"], "PostRMSNorm"),
        (["model.norm={_target_: lmlab.nn.norm.NoNorm}"], "PreRMSNorm"),
    ],
)
def test_choices_are_merged_and_the_later_wins(overrides: list[str], expected: str) -> None:
    if "{" in overrides[0]:  # a whole node is merged into the chosen one, which has an eps
        with pytest.raises(ConfigError, match=r"unknown parameter of lmlab\.nn\.norm\.NoNorm"):
            compose(overrides)
        return
    config = compose(overrides)
    assert target(config) == expected
    if "model=small_17m" in overrides:
        assert config.model.d_model == 512
    if "model.norm.eps=1e-3" in overrides:
        assert config.model.norm.eps == 1e-3


def test_seeds_follow_the_seed_unless_given() -> None:
    assert compose(["seed=3"]).seeds == Seeds(init=3, data=3, sampling=3)
    assert compose(["seed=3", "seeds.data=1"]).seeds.data == 1


def test_a_tilde_is_expanded_to_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    saved = required_overrides("tokenizer", "saved", tmp_path)
    config = compose(
        [
            'output_root="~/out"', 'parent="~/former"', "tokenizer=saved",
            *(word.replace(f"={tmp_path}", '="~') + '"' for word in saved),
            "data=text", 'data.train=["~/a.txt","b~.txt"]', 'data.valid="~/(v).txt"',
        ]
    )  # fmt: skip
    assert (config.output_root, config.parent) == (f"{tmp_path}/out", f"{tmp_path}/former")
    assert config.data.train == [f"{tmp_path}/a.txt", "b~.txt"]
    assert config.data.valid == f"{tmp_path}/(v).txt"
    assert config.model.vocab_size == 258
    assert config.tokenizer.path == saved[0].partition("=")[2]


@pytest.mark.parametrize(
    ("override", "advice"),
    [
        ("output_root=~/x", """ 'output_root="~/x"'"""),
        ("output_root=a=b", """ 'output_root="a=b"'"""),
        ("output_root=a(b)", """ 'output_root="a(b)"'"""),
        (
            "output_root=a,b",
            """write 'output_root="a,b"' for one string, 'output_root=[a,b]' for a list""",
        ),
        (
            "samples.prompts=[a(b)]",
            """help: quote a string in a list, as in 'samples.prompts=["one (1).txt"]'""",
        ),
        ("output_root", "output_root: invalid override; expected key=value"),
    ],
)
def test_the_advice_on_quoting_a_value_works(override: str, advice: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose([override])
    assert advice in str(caught.value)
    for advised in re.findall(r"'(output_root=\".*?\")'", advice):
        assert compose([advised]).output_root == expanduser(override.partition("=")[2])


def test_the_byte_tokenizer_sets_the_size_of_the_vocabulary(tmp_path: Path) -> None:
    assert compose(["tokenizer=bytes"]).model.vocab_size == 257
    assert compose(["tokenizer=bytes", "model.vocab_size=300"]).model.vocab_size == 300
    more = required_overrides("tokenizer", "saved", tmp_path)
    assert compose(["tokenizer=saved", *more]).model.vocab_size == 258


def test_a_frozen_configuration_cannot_be_changed() -> None:
    config = compose([])
    with pytest.raises(Exception, match="cannot assign"):
        config.training.steps = 1


def test_a_frozen_file_is_read_back_unchanged(tmp_path: Path) -> None:
    config = compose(["model.norm=post", "training.micro_batch_size=4", "optim=sgd"])
    path = tmp_path / "frozen.yaml"
    path.write_text(to_yaml(config))
    assert load_frozen(path).as_dict() == config.as_dict()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("d_model:", "d_modle:"), "d_modle"),
        (lambda text: text.replace("  steps: 600\n", ""), "steps"),
        (lambda text: text.replace("  steps: 600\n", "  steps: many\n"), "steps"),
        (lambda text: text.replace("eps: 1.0e-05", "epsilon: 1.0e-05"), "epsilon"),
        (lambda text: text.replace("lmlab.nn.norm.PreRMSNorm", "os.system"), "os.system"),
        (lambda text: text.replace("num_heads: 4", "num_heads: 3"), "num_heads"),
        (lambda text: "a: [1", "cannot read"),
        (lambda text: "", "cannot read|missing required setting"),
        (lambda text: "- 1\n- 2", "cannot read"),
    ],
)
def test_a_frozen_file_is_checked_again(tmp_path: Path, change, message: str) -> None:
    path = tmp_path / "frozen.yaml"
    text = to_yaml(compose([]))
    path.write_text(change(text))
    assert path.read_text() != text
    with pytest.raises(UserError, match=message):
        load_frozen(path)


def test_an_unknown_key_is_reported_by_a_process_that_composes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "frozen.yaml"
    path.write_text(to_yaml(compose([])).replace("d_model:", "zloss: 0.1\n  d_model:"))
    script = "import pathlib, sys; from lmlab.config.compose import load_frozen\n"
    script += "load_frozen(pathlib.Path(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True)
    assert (
        "ConfigError: model.zloss: unknown setting; expected one of model.attention" in done.stderr
    )


def test_a_missing_frozen_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.yaml"):
        load_frozen(tmp_path / "none.yaml")


def test_composing_inside_another_hydra_program(tmp_path: Path) -> None:
    (tmp_path / "theirs.yaml").write_text("name: theirs\n")
    program = tmp_path / "program.py"
    program.write_text(
        "import hydra\nfrom hydra.core.hydra_config import HydraConfig\n"
        "from lmlab.config.compose import compose\n"
        "@hydra.main(config_path='.', config_name='theirs', version_base='1.2')\n"
        "def main(config):\n"
        "    print(compose(['scale=smoke', 'optim=sgd']).optim.lr)\n"
        "    try: compose(['training.stesp=1'])\n"
        "    except Exception as error: print(error)\n"
        "    print(config.name, HydraConfig.get().job.config_name, hydra.version.getbase())\n"
        "    print(hydra.compose('theirs'))\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, program], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "0.1"
    assert lines[1].startswith("training.stesp=1: unknown setting; expected one of training.batch")
    assert lines[-2:] == ["theirs theirs 1.2", "{'name': 'theirs'}"]
