"""The launcher composes options once for many jobs; each job gets the same as by itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode

from hydra_plugins.lmlab_launcher.launcher import LocalLauncher
from hydra_plugins.lmlab_launcher.study_arms import freeze_study
from lmlab.config.compose import compose, register
from lmlab.config.paths import conf_folder
from lmlab.design.manifest import Manifest
from lmlab.errors import ConfigError


@pytest.fixture
def launcher() -> Iterator[LocalLauncher]:
    register()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        local = LocalLauncher()
        local.setup(
            hydra_context=HydraContext(config_loader=hydra.config_loader, callbacks=None),
            task_function=lambda config: None,
            config=hydra.config_loader.load_configuration("train", [], RunMode.MULTIRUN),
        )
        yield local


JOBS = [
    ["seed=1"],
    ["seed=2", "optim.lr=3e-4"],
    ["model/norm=post", "optim=sgd", "seed=1"],
    ["optim.lr=0.5", "optim=sgd"],
    ["model/norm=post", "optim=sgd", "seed=7", "samples.prompts=[a,'b c']"],
    ["scale=smoke"],
    ["seed=1"],
]


def test_each_job_is_composed_as_by_itself(launcher: LocalLauncher) -> None:
    found = [launcher.compose(job).as_dict() for job in JOBS]
    GlobalHydra.instance().clear()
    assert found == [compose(job).as_dict() for job in JOBS]


def test_a_wrong_key_is_reported_for_every_job(launcher: LocalLauncher) -> None:
    for _ in range(2):
        with pytest.raises(HydraException, match="sead"):
            launcher.compose(["sead=1"])


def test_a_key_that_hydra_adds_to_a_typed_node_is_refused_in_a_job(launcher: LocalLauncher) -> None:
    with pytest.raises(ConfigError, match=r"model\.zloss=0\.1: unknown setting"):
        launcher.compose(["+model.zloss=0.1"])


RUNGS = ["model.d_model=32", "model.d_model=64", "model.d_model=96", "model.d_model=128"]


def freeze_ladder(launcher: LocalLauncher, *typed: str, highest: str = RUNGS[-1]) -> Manifest:
    rungs = [[rung] for rung in [*RUNGS[:-1], highest]]
    base = [
        "scale=smoke", "experiment=ladder", "ladder=given", f"ladder.rungs={rungs}",
        "~design.arms", "+design.arms={baseline: [], nope: ['model.pos=nope']}",
        "design.lr=fixed", *typed,
    ]  # fmt: skip
    return freeze_study(launcher, base, OverridesParser.create().parse_overrides(base))


@pytest.mark.parametrize(
    ("highest", "typed", "message"),
    [
        ("model.d_model", [], r"ladder\.rungs\[3\]: model\.d_model: expected key=value"),
        ("model.d_model=8,16", [], r"ladder\.rungs\[3\]: model\.d_model=8,16: expected one value"),
        ("seeds.data=1", [], r"ladder\.rungs\[3\]: seeds\.data=1: expected settings of the rung"),
        ("study=other", [], r"ladder\.rungs\[3\]: study=other: expected settings of the rung"),
        ("optim.lr=-1", ["design.lr=search"], r"optim\.lr=-1"),
        (RUNGS[-1], ["design.num_seeds=[2,2,2,1500]"], r"1500 seeds up to 1499 overlap"),
        (RUNGS[-1], ["design.entropy=7"], r"design\.entropy=7: expected less than .* uniform"),
        (RUNGS[-1], ["model.d_model=64"], r"model\.d_model=64: this has no effect"),
    ],
)
def test_a_wrong_setting_of_a_ladder_is_named(
    launcher: LocalLauncher, highest: str, typed: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        freeze_ladder(launcher, *typed, highest=highest)


def test_settings_apply_to_every_rung_of_a_ladder(launcher: LocalLauncher) -> None:
    manifest = freeze_ladder(launcher, "training.batch_size=8", "design.num_seeds=[4,3,2,2]")
    assert [arm["model"]["d_model"] for arm in manifest.arms[::2]] == [32, 64, 96, 128]
    assert {arm["training"]["batch_size"] for arm in manifest.arms} == {8}
    assert manifest.ladder is not None and manifest.ladder.seeds(0) == 4
