"""Mappings with free keys are set on the command line as in a file."""

from __future__ import annotations

from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from lmlab.config import hydra_app
from lmlab.config.open_mappings import open_mapping


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("hydra.launcher.driver={partition: cpu, mem_gb: 8}", {"partition": "cpu", "mem_gb": 8}),
        ("+hydra.launcher.driver={mem_gb: 8}", {"mem_gb": 8}),
        ("hydra.launcher.per_arm={*large*: {mem_gb: 64}}", {"*large*": {"mem_gb": 64}}),
        (
            """hydra.launcher.per_arm={"*a, b=[cd]*": {mem_gb: 64}, 'x y': {setup: ["a b: c"]}}""",
            {"*a, b=[cd]*": {"mem_gb": 64}, "x y": {"setup": ["a b: c"]}},
        ),
        ("hydra.launcher.driver.mem_gb=8", 8),
        ("hydra.launcher.driver=null", None),
        ("data.windows=document", "document"),  # files of the user's own sources do not list it
        ("design.arms.new=['optim.lr=2e-3']", ["optim.lr=2e-3"]),
    ],
)
def test_keys_are_added_as_typed(override: str, expected: Any) -> None:
    parsed = OverridesParser.create().parse_override(open_mapping(override))
    assert parsed.is_force_add()
    assert parsed.value() == expected


@pytest.mark.parametrize(
    "override", ["hydra.launcher.cpus=2", "~hydra.launcher.driver", 'model={"a": 1}', "-m"]
)
def test_other_overrides_stay(override: str) -> None:
    assert open_mapping(override) == override


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            'hydra.launcher.per_arm={"*": {time_min: 1}}',
            "hydra.launcher.per_arm.*.time_min=1: expected more minutes",
        ),
        ("+hydra.launcher.per_arm={*: {cpu: 1}}", 'did you mean "cpus"?'),
        (
            "hydra.launcher.driver={mem_gb: x}",
            "hydra.launcher.driver.mem_gb=x: expected null, or gigabytes above 0",
        ),
    ],
)
def test_the_slurm_launcher_receives_them_and_names_them_in_full(
    capsys: pytest.CaptureFixture[str], override: str, message: str
) -> None:
    arguments = ["-m", "hydra/launcher=slurm", "scale=smoke", override]
    assert hydra_app.main(arguments, lambda config: 0) == 2
    assert message in capsys.readouterr().err
