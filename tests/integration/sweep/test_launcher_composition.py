"""The launcher composes options once for many jobs; each job gets the same as by itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode

from hydra_plugins.lmlab_launcher.launcher import LocalLauncher
from lmlab.config.compose import compose, register
from lmlab.config.paths import conf_folder
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
