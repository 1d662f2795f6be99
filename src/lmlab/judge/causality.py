"""Whether a model predicts each token from those before it alone, whatever code it is made of.

A model that sees the token it predicts has a lower loss without being better. The components of
lmlab are tested for it; code of one's own, and changed code of lmlab, is tried out here.
"""

from __future__ import annotations

import torch

from lmlab.build.network import build_network
from lmlab.build.numerics import numeric_code
from lmlab.build.user_code import user_code
from lmlab.config.identity_settings import identity_settings
from lmlab.config.run_config import RunConfig
from lmlab.errors import ConfigError

_TOKENS = 16  # of the sequence that is tried
_TOLERANCE = 1e-4  # of the largest logit; float32 sums in another order differ by less


def names_other_code(config: RunConfig) -> bool:
    """Whether a configuration computes with code that is not that of the release."""
    settings = identity_settings(config)
    own = [name for name in user_code(settings) if not name.startswith("version of ")]
    return bool(own or numeric_code(settings))


def check_causality(name: str, config: RunConfig) -> None:
    """Check on random weights that later tokens change no earlier logit.

    Args:
        name: of the idea.
        config: whose model is built on the CPU.

    Raises:
        ConfigError: they do.
    """
    length = min(_TOKENS, config.model.context_length)
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        model = build_network(config.model, config.seeds.init).eval()
        first = torch.randint(config.model.vocab_size, (1, length), generator=generator)
        changed = first.clone()
        half = length // 2
        changed[:, half:] = (changed[:, half:] + 1) % config.model.vocab_size
        logits, others = model(first), model(changed)
    seen = logits[:, :half] - others[:, :half]
    if not float(seen.abs().max()) <= _TOLERANCE * float(logits.abs().max()):
        raise ConfigError(
            f"{name}: its model sees the tokens that it is to predict: changing token {half} "
            "changes the prediction of an earlier one; expected each prediction to depend on the "
            "tokens before it",
            "mask the tokens that follow in your component",
        )
