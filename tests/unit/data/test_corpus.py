"""The hash of a corpus is that of its content, whatever its files' times say."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from lmlab.data.corpus import Corpus
from lmlab.storage.io import hash_json


def test_an_edit_that_keeps_size_and_time_changes_the_hash(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("the cat sat")
    stat, first = text.stat(), Corpus("a", [text], []).train_hash
    text.write_text("the dog sat")
    os.utime(text, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    expected = hash_json([hashlib.sha256(b"the dog sat").hexdigest()])
    assert Corpus("a", [text], []).train_hash == expected != first
