"""The corpus of a mixture: the corpora of its sources, and their shares."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from lmlab.data.corpus import Corpus
from lmlab.data.mixed_tokens import MixedTokens
from lmlab.data.source_names import named
from lmlab.data.split import Split
from lmlab.records.mixed_text import MixedText
from lmlab.records.text import Text
from lmlab.storage.io import hash_json
from lmlab.tokenizer import Tokenizer

# Increase when another rule assigns sequences to sources, or weighs their losses.
_VERSION = 1


@dataclasses.dataclass(frozen=True)
class MixedSplit:
    """One split of several sources; see :class:`lmlab.data.split.Split`.

    Attributes:
        splits: of the sources, by name, in the order of the names.
        shares: of the sources, likewise: of the training sequences, or of the validation loss.
    """

    splits: Mapping[str, Split]
    shares: Mapping[str, Fraction]

    @property
    def text(self) -> Text:
        """The texts of all sources in a row; those that are ids have none."""
        return MixedText.of_texts([split.text for split in self.splits.values()])

    @property
    def hash(self) -> str:
        """Hash of the content, the names and the shares of all sources."""
        sources = {
            name: [str(self.shares[name]), split.hash] for name, split in self.splits.items()
        }
        return hash_json({"mixture": _VERSION, "sources": sources})

    @property
    def text_hash(self) -> str:
        """Hash of the texts in a row, whatever their shares."""
        hashes = [split.text_hash for split in self.splits.values() if split.text.files]
        return hashes[0] if len(hashes) == 1 else hash_json(hashes)

    def encode(self, tokenizer: Tokenizer, cache_dir: Path, *, name: str) -> MixedTokens:
        """Return the ids of all sources; each is kept in the cache as if it were the only one."""
        splits = []
        for source, split in self.splits.items():
            with named(source):
                splits.append(split.encode(tokenizer, cache_dir, name=name))
        return MixedTokens.of(list(self.splits), [self.shares[one] for one in self.splits], splits)


class MixedCorpus(Corpus):
    """Several corpora in fixed shares.

    Args:
        sources: by name, in the order of the names.
        shares: of the training sequences, by name.
        valid_shares: of the validation loss, by name.

    Attributes:
        sources: by name.
    """

    def __init__(
        self,
        sources: Mapping[str, Corpus],
        shares: Mapping[str, Fraction],
        valid_shares: Mapping[str, Fraction],
    ) -> None:
        super().__init__("+".join(sources), (), ())
        self.sources = dict(sources)
        self.splits = {
            split: MixedSplit({name: one.splits[split] for name, one in sources.items()}, own)
            for split, own in (("train", shares), ("valid", valid_shares))
        }

    def probe_items(self, num_items: int) -> dict[str, Any]:
        """Return items of the probes that a source offers; of several, the first by name."""
        for source in self.sources.values():
            if hasattr(source, "probe_items"):
                return dict(source.probe_items(num_items))
        return {}
