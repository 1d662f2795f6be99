"""Names may use ``${hydra:...}``, whose unknown settings are refused."""

from __future__ import annotations

import pytest

from lmlab.config.compose import compose
from lmlab.errors import ConfigError


def test_names_may_contain_settings_of_hydra() -> None:
    config = compose(
        [
            "model.norm=post",
            "optim.lr=1e-3",
            "study=with-${hydra:runtime.choices.model}",
            "arm=${hydra:job.override_dirname}",
            "hydra.job.config.override_dirname.exclude_keys=[study]",
        ]
    )
    assert config.study == "with-tiny"
    assert config.arm == "model.norm-post+optim.lr-1e-3"


@pytest.mark.parametrize(
    ("key", "advice"),
    [("job.num", "add -m"), ("runtime.output_dir", "output_root/study/arm"), ("nothing", "choose")],
)
def test_a_setting_of_hydra_that_is_not_known_is_refused(key: str, advice: str) -> None:
    with pytest.raises(ConfigError, match=key) as caught:
        compose([f"study=${{hydra:{key}}}"])
    assert advice in str(caught.value)
