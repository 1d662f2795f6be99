"""A mixture of sources in fixed shares: the target of ``conf/data/mixture.yaml``."""

from __future__ import annotations

import importlib
import itertools
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmlab.config.mixture_settings import SOURCES, TARGET, check_mixture
from lmlab.console.formatting import format_bytes
from lmlab.data.corpus import Corpus
from lmlab.data.mixed_corpus import MixedCorpus
from lmlab.data.share_schedule import shares_of
from lmlab.data.source_names import named
from lmlab.data.text_survey import remembered_survey, survey
from lmlab.errors import DataError
from lmlab.storage.io import hash_json

log = logging.getLogger(__name__)

MOST_COMPARED_BYTES = 4 << 30  # of training text that is searched for held-out documents


class Mixture:
    """Named sources, whose weights are their shares of the training sequences.

    Args:
        cache_dir: where the sources keep what they make.
        sources: by name: the ``_target_`` of an option of ``data``, and its parameters.
        weights: of each source, above 0; they need not have the sum 1.
        valid_weights: of each source in the validation loss; None: all count equally. They do not
            follow ``weights``, so that runs with other shares are measured alike.

    Raises:
        ConfigError: see :func:`lmlab.config.mixture_settings.check_mixture`.
    """

    def __init__(
        self,
        cache_dir: Path,
        *,
        sources: dict[str, Any],
        weights: dict[str, float],
        valid_weights: dict[str, float] | None = None,
    ) -> None:
        check_mixture(
            {
                "_target_": TARGET, "sources": sources, "weights": weights,
                "valid_weights": valid_weights,
            }
        )  # fmt: skip
        self.cache_dir = Path(cache_dir)
        names = sorted(sources)  # the order in which they are typed does not count
        self.settings = {name: sources[name] for name in names}
        self.sources = {name: _build(sources[name], cache_dir) for name in names}
        self.shares = dict(zip(names, shares_of([weights[name] for name in names]), strict=True))
        counted = valid_weights or dict.fromkeys(names, 1.0)
        self.valid_shares = dict(
            zip(names, shares_of([counted[name] for name in names]), strict=True)
        )

    @property
    def has_text(self) -> bool:
        """Whether all sources are text, so that a tokenizer can be trained on them."""
        return all(getattr(source, "has_text", True) for source in self.sources.values())

    def check(self) -> None:
        """Check the settings of each source.

        Raises:
            ConfigError: a setting of a source is not valid.
            DataError: a file of a source cannot be used.
        """
        for name, source in self.sources.items():
            with named(name, self.settings[name]):
                source.check()

    def prepare(self) -> MixedCorpus:
        """Prepare each source, and compare what they hold out with what the others train on.

        Raises:
            DataError: a source cannot be used, or two have the same training text.
        """
        corpora: dict[str, Corpus] = {}
        for name, source in self.sources.items():
            log.info("%s.%s:", SOURCES, name)
            with named(name, self.settings[name]):
                corpora[name] = source.prepare()
        _check_distinct(corpora)
        for name in corpora:
            self._find_leaks(name, corpora)
        mixed = MixedCorpus(corpora, self.shares, self.valid_shares)
        origins = {name: corpus.origin for name, corpus in corpora.items() if corpus.origin}
        mixed.origin = origins or None
        return mixed

    def _find_leaks(self, name: str, corpora: Mapping[str, Corpus]) -> None:
        """Tell how many documents that other sources hold out are in the training text of one."""
        train = corpora[name].train
        others = {
            other: corpus
            for other, corpus in corpora.items()
            if other != name and corpus.valid.files
        }
        if not train.files or not others:
            return
        if train.size() > MOST_COMPARED_BYTES:
            log.info(
                "%s.%s: more than %s of text, which are not searched for the documents that other "
                "sources hold out", SOURCES, name, format_bytes(MOST_COMPARED_BYTES),
            )  # fmt: skip
            return

        def read() -> Any:
            held_out: set[bytes] = set()
            for corpus in others.values():
                survey(corpus.valid, collect=held_out)
            return survey(train, known=held_out)

        against = hash_json(["others", *(corpus.valid_hash for corpus in others.values())])
        found = remembered_survey(train, self.cache_dir, read, against=against)
        if found.num_known:
            log.warning(
                "%s.%s: its training text has %s documents that %s hold out, where their loss does "
                "not measure generalization", SOURCES, name, f"{found.num_known:,}",
                " and ".join(others),
            )  # fmt: skip


def _build(node: Mapping[str, Any], cache_dir: Path) -> Any:
    module, _, name = str(node["_target_"]).rpartition(".")
    parameters = {key: value for key, value in node.items() if key != "_target_"}
    return getattr(importlib.import_module(module), name)(cache_dir=cache_dir, **parameters)


def _check_distinct(corpora: Mapping[str, Corpus]) -> None:
    for (one, first), (other, second) in itertools.combinations(corpora.items(), 2):
        files = {*first.train.files} & {*second.train.files}
        if files or first.train_hash == second.train_hash:
            raise DataError(
                f"{SOURCES}.{other}: expected a text of its own, found the training text of "
                f"{SOURCES}.{one}",
                "name each text once: its weight says how often it is read",
            )
