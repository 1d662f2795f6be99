"""The files of lmlab that can change the result of a run, and the record of their hashes."""

from __future__ import annotations

import ast
import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path

from lmlab.build.source_hash import hash_bytes, hash_statements, meaningful, read_source

PACKAGE = Path(__file__).resolve().parents[1]
RECORD = Path(__file__).with_name("numerics_record.json")
_PART_DIGITS = 10
_SUFFIXES = frozenset({".py", ".c", ".cc", ".cpp", ".cu", ".cuh", ".h", ".hpp", ".xz", ".ll"})
# Packages and modules that cannot change the result of a run: a path below src/lmlab, or its start
# up to a slash. All others count, so a new module counts from the beginning.
NOT_NUMERIC = (
    # Commands, and what only shows, predicts, plans, sends or stores results.
    "__init__.py", "__main__.py", "account.py", "compare.py", "completion.py", "errors.py",
    "evaluate.py", "forecast.py", "generate.py", "publish.py", "report.py", "run.py",
    "run_folder.py", "status.py", "tokenize.py", "train.py",
    "accounting/", "console/", "demos/", "design/", "export/", "harness/", "judge/",
    "outputs/", "preflight/", "storage/", "study/", "sweep/", "tracking/",
    # The settings that it resolves are part of the identity.
    "config/",
    # Their texts and vocabularies are known by their content.
    "data/download.py", "data/grammar.py", "data/stories.py", "data/story_words.py",
    "data/toystories.py", "data/sources.py", "data/held_out.py", "data/text_survey.py", "records/",
    "data/mixture.py", "data/mixed_corpus.py", "data/mixed_floor.py", "data/source_names.py",
    "data/hub/", "data/hub_source.py", "data/near_duplicates.py", "data/shingles.py",
    "data/corpus.py", "data/ids.py", "data/split.py", "data/token_sources.py",
    "data/token_formats/", "data/id_documents.py", "data/id_survey.py",
    "data/document_parts.py", "nn/document_layout.py",
    "tokenizer/raw_rows.py", "tokenizer/kernels/rows.py", "tokenizer/kernels/json_values.py",
    "tokenizer/kernels/row_results.py", "tokenizer/kernels/ir/rows.json.xz",
    "tokenizer/ids_only.py",
    "data/prefix_probability.py", "data/story_probes.py",
    "tokenizer/formats/", "tokenizer/convert.py",
    # Counts of parameters, FLOPs and memory.
    "nn/attention_counts.py", "nn/component_counts.py", "nn/ffn_counts.py", "nn/loss_counts.py",
    "nn/norm_counts.py", "nn/pos_counts.py", "optim/adafactor_counts.py",
    "optim/adamw_counts.py", "optim/ademamix_counts.py", "optim/lion_counts.py",
    "optim/muon_counts.py", "optim/optimizer_counts.py", "optim/schedule_free_counts.py",
    "optim/sgd_counts.py", "optim/soap_counts.py",
    # The hash of a task has a version of how it is scored.
    "tasks/", "build/task_scores.py",
    # The identity itself, and checks that refuse a run.
    "build/added_code.py", "build/identity.py", "build/loaded_code.py", "build/module_imports.py",
    "build/numeric_files.py", "build/numerics.py", "build/optimizer_check.py",
    "build/optimizer_packages.py",
    "build/parallel_check.py", "build/record_numerics.py", "build/source_hash.py",
    "build/user_code.py", "runs/weight_sizes.py",
    "optim/optional_package.py", "optim/update_unit.py",
    # The session around the training loop; what it chooses is part of the identity.
    "runs/auto_settings.py", "runs/context.py", "runs/execute.py", "runs/find_run.py",
    "runs/load.py", "runs/measured_length.py", "runs/recorded_config.py", "runs/run_metadata.py",
    "runs/run_register.py", "runs/source_lines.py",
    "runs/run_summary.py", "runs/samples.py", "runs/session.py", "runs/stacked/__main__.py",
    "runs/status_writer.py", "runtime/background.py", "runtime/compile_policy.py",
    "runtime/inductor_cache.py", "runtime/launch_env.py", "runtime/numeric_environment.py",
    "runtime/provenance.py", "runtime/signals.py",
    # Models that leave lmlab.
    "hf/config_writer.py", "hf/modeling_lmlab.py", "hf/parts_lmlab.py",
)  # fmt: skip
_LEFT_OUT = frozenset({*NOT_NUMERIC, "conf/"})  # a wheel holds conf/ in the package


@dataclasses.dataclass(frozen=True)
class FileRecord:
    """What the record holds of a file.

    Attributes:
        content: hash of its bytes.
        parts: of a Python file, its statements in order: the name of each class and function, or
            an empty text, and a hash.
    """

    content: str
    parts: tuple[tuple[str, str], ...] = ()

    def write(self) -> str:
        """Write the record as one text."""
        return " ".join([self.content, *(f"{name}:{digest}" for name, digest in self.parts)])

    @classmethod
    def parse(cls, text: str) -> FileRecord:
        """Read what :meth:`write` wrote."""
        content, *parts = text.split()
        pairs = (part.rpartition(":") for part in parts)
        return cls(content, tuple((name, digest) for name, _, digest in pairs))


def numeric_files(package: Path = PACKAGE) -> dict[str, Path]:
    """Return the files that can change the result of a run, by path below the package."""
    return {name: Path(path) for name, path in _walk(str(package), "")}


def _walk(folder: str, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield the files below a folder; without pathlib, since each run does this at its start."""
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if entry.is_dir():
                if f"{name}/" not in _LEFT_OUT and entry.name != "__pycache__":
                    yield from _walk(entry.path, f"{name}/")
            elif name not in _LEFT_OUT and os.path.splitext(name)[1] in _SUFFIXES:
                yield name, entry.path


def read_record() -> dict[str, FileRecord]:
    """Read the record by path; as :mod:`lmlab.build.record_numerics` wrote it."""
    if not RECORD.exists():
        return {}
    content = json.loads(RECORD.read_bytes())["files"]
    return {path: FileRecord.parse(text) for path, text in content.items()}


def record_of(path: str, content: bytes) -> FileRecord:
    """Return the record of a file."""
    return FileRecord(hash_bytes(content), tuple(_parts(content)) if path[-3:] == ".py" else ())


def _parts(content: bytes) -> Iterator[tuple[str, str]]:
    tree = read_source(content).tree
    if tree is None:
        yield "", hash_bytes(content)
        return
    for statement in meaningful(tree.body):
        yield part_of(statement)


def part_of(statement: ast.stmt) -> tuple[str, str]:
    """Return the name that a class or function has, or an empty text, and a hash."""
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    name = statement.name if isinstance(statement, kinds) else ""
    return name, hash_statements([statement])[:_PART_DIGITS]
