"""The held-out text for the last word: never trained on, never evaluated on before, used once."""

from __future__ import annotations

from pathlib import Path

from lmlab.data.corpus import Corpus
from lmlab.data.text_survey import survey
from lmlab.errors import ConfigError, DataError
from lmlab.judge.ledger import LEDGER_FILE, Ledger
from lmlab.judge.stream import read_stream
from lmlab.records.paths import find_files
from lmlab.records.text import Text

_ANOTHER = "hold out a text that no run reads"


def read_final_text(path: str) -> tuple[Text, str, set[bytes]]:
    """Read a held-out text once.

    Returns:
        The text; the hash of its content, whatever its form; and the hashes of its documents.

    Raises:
        DataError: it is missing, cannot be read or is not UTF-8.
    """
    text = Text((), key="final_text").with_files(find_files("final_text", path, split="valid"))
    if text.has_pipe():
        raise DataError(f"final_text={path}: expected a file, which can be read again")
    documents: set[bytes] = set()
    found = survey(text, collect=documents)
    return text, found.text_hash, documents


def check_apart(path: str, documents: set[bytes], corpus: Corpus, of: str) -> None:
    """Check that no document of the held-out text is trained on or used for validation.

    Args:
        path: of the held-out text.
        documents: hashes of its documents.
        corpus: texts of a run.
        of: whose run it is.

    Raises:
        ConfigError: some are.
    """
    for name, text in (("training", corpus.train), ("validation", corpus.valid)):
        shared = survey(text, known=documents).num_known if text.files else 0
        if shared:
            raise ConfigError(
                f"final_text={path}: {shared} of its {len(documents)} documents are in the {name} "
                f"text of {of}; expected none",
                _ANOTHER,
            )


def check_unused(digest: str, ledger: Ledger, path: str) -> None:
    """Check that no ledger beside this one has used the held-out text for its last word.

    Args:
        digest: hash of the text.
        ledger: the ledger that is about to name or use it.
        path: of the text.

    Raises:
        ConfigError: one has.
        DataError: a ledger beside this one cannot be read.
    """
    for file in sorted(ledger.folder.parent.glob(f"*/{LEDGER_FILE}")):
        other = Ledger(Path(file).parent)
        if other.folder.resolve() == ledger.folder.resolve():
            continue
        stream = read_stream(other.rows())
        if stream.is_closed and stream.terms.pins.get("final text") == digest:
            raise ConfigError(
                f"final_text={path}: the last word of {other.folder} has used this text",
                "hold out a text that has decided nothing yet",
            )


def check_training_text(name: str, idea: Corpus, baseline: Corpus) -> None:
    """Check that an idea with another training text trains on no further validation document.

    Args:
        name: of the idea.
        idea: its texts.
        baseline: those of the standing baseline, whose validation text is the same.

    Raises:
        ConfigError: it does.
    """
    documents: set[bytes] = set()
    survey(idea.valid, collect=documents)
    shared, usual = (survey(corpus.train, known=documents).num_known for corpus in (idea, baseline))
    if shared > usual:
        raise ConfigError(
            f"{name}: {shared} of the {len(documents)} documents of the validation text are in its "
            f"training text; expected {usual or 'none'}, as in that of the baseline",
            "leave them out of data.train",
        )
