"""``python -m lmlab.evaluate run=<folder> text=<file>``: a saved model on texts and tasks."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmlab.console.command_line import Command
from lmlab.console.options import at_least, one_of, option
from lmlab.console.stdout import run_main
from lmlab.errors import ConfigError, DataError
from lmlab.generate import check_folder
from lmlab.records.paths import find_files
from lmlab.records.text import DOCUMENT_RULES, Text

if TYPE_CHECKING:
    from lmlab.data.token_file import TokenFile
    from lmlab.runs.load import Loaded
    from lmlab.tasks.task import Task
    from lmlab.tasks.task_file import TaskFile
    from lmlab.training.evaluator import ValidationResult

_TOTAL = "total"


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of the command."""

    run: str = option(
        by_position=True,
        metavar="FOLDER",
        help="outputs/<study>/<arm>/seed<k>, or a local Hugging Face model directory",
    )
    text: tuple[str, ...] = option(
        (),
        by_position=True,
        metavar="FILE",
        help="a file, folder or quoted pattern of text (plain, compressed, JSON lines, Parquet, "
        "Arrow), or - for standard input; the output has one line per text, and their total",
    )
    column: str = option(
        "text", metavar="NAME", help="column of JSON lines, Parquet or Arrow that holds the text"
    )
    documents: str = option(
        "marker",
        valid=one_of(*DOCUMENT_RULES),
        metavar="RULE",
        help="what a document of plain text is; see data.documents",
    )
    tasks: tuple[str, ...] = option(
        (),
        metavar="FILE",
        help="items to score the model on, as JSON lines, or the names of tasks with their files, "
        "{NAME: FILE}, as in validation.tasks; one line per task",
    )
    checkpoint: str = option(
        "best",
        valid=one_of("best", "last"),
        metavar="NAME",
        help="which weights to load; best has the lowest validation loss",
    )
    max_tokens: int | None = option(
        None,
        valid=at_least(1),
        help="maximum number of tokens to evaluate, in windows spread over the text; "
        "null: the full text",
    )
    batch_size: int = option(
        32, valid=at_least(1), help="sequences per forward pass; affects only speed"
    )
    device: str = option(
        "auto",
        metavar="NAME",
        help="device to use: auto, cpu, mps, cuda, or one GPU such as cuda:1",
    )


def evaluate(
    loaded: Loaded, text: Path | Text, *, max_tokens: int | None = None, batch_size: int = 32
) -> ValidationResult:
    """Measure a model on a text.

    Args:
        loaded: model and tokenizer, as :func:`lmlab.load` returns them.
        text: a file, or several as a :class:`lmlab.records.text.Text`.
        max_tokens: see :func:`lmlab.data.batches.validation_windows`.
        batch_size: windows per forward pass.

    Raises:
        DataError: the text is not UTF-8, or is shorter than two tokens.
    """
    with tempfile.TemporaryDirectory(prefix="lmlab-evaluate-") as folder:
        tokens = _encode(loaded, Text.of(text), str(text), Path(folder))
        return _evaluate(loaded, tokens, max_tokens, batch_size)


def _encode(loaded: Loaded, text: Text, name: str, folder: Path) -> TokenFile:
    from lmlab.data.token_file import write_token_file

    found = write_token_file(text, loaded.tokenizer, folder / "text.bin")
    if found.num_tokens < 2:
        raise DataError(f"text={name}: expected 2 tokens or more, found {found.num_tokens}")
    return found


def _evaluate(
    loaded: Loaded, text: TokenFile, max_tokens: int | None, batch_size: int
) -> ValidationResult:
    from lmlab.data.batches import validation_windows
    from lmlab.data.text_bytes import evaluated_bytes
    from lmlab.training.evaluator import Evaluator

    model, tokenizer = loaded
    tokens = text.tokens
    windows = validation_windows(
        tokens,
        context_length=min(model.context_length, len(tokens) - 1),
        max_tokens=max_tokens,
    )
    num_bytes = evaluated_bytes(tokenizer, tokens, windows, text.end_id)
    evaluator = Evaluator(tokens, windows, num_bytes, batch_size=batch_size, device=model.device)
    return evaluator.evaluate(model)


def print_scores(options: Options) -> None:
    """Evaluate, and print one line per text, the total of several texts, and one per task."""
    check_folder(options.run)
    if not options.text and not options.tasks:
        raise ConfigError(
            "missing required option text=FILE or tasks=FILE", "run lmlab evaluate --help"
        )
    texts = [_find(name, options) for name in options.text]
    sources = _task_sources(options.tasks)
    for source in sources:
        source.check()
    # Importing torch takes seconds; mistakes in the options are reported before.
    from lmlab.runs.load import load

    loaded = load(options.run, checkpoint=options.checkpoint, device=options.device)
    tasks = [source.load(loaded.tokenizer, loaded.model.context_length) for source in sources]
    if texts:
        _print_losses(loaded, texts, options)
    if texts and tasks:
        print()
    if tasks:
        _print_tasks(loaded, tasks, options.batch_size)


def _print_losses(loaded: Loaded, texts: Sequence[Text], options: Options) -> None:
    from lmlab.training.evaluator import ValidationResult

    with tempfile.TemporaryDirectory(prefix="lmlab-evaluate-") as folder:
        # A mistake in the last text is met before the first takes minutes.
        encoded = [
            _encode(loaded, text, name, Path(folder, str(number)))
            for number, (name, text) in enumerate(zip(options.text, texts, strict=True))
        ]
        width = max(map(len, [*options.text, _TOTAL]))
        print(
            f"{'text':<{width}}  {'loss':>8}  {'perplexity':>10}  {'bits/byte':>9}  {'tokens':>11}"
        )
        results = []
        for name, tokens in zip(options.text, encoded, strict=True):
            results.append(_evaluate(loaded, tokens, options.max_tokens, options.batch_size))
            print(_line(name, width, results[-1]), flush=True)
    if len(results) > 1:
        nats = math.fsum(result.loss * result.num_tokens for result in results)
        num_tokens = sum(result.num_tokens for result in results)
        num_bytes = sum(result.num_bytes for result in results)
        print(_line(_TOTAL, width, ValidationResult.of_sums(nats, num_tokens, num_bytes)))


def _task_sources(values: Sequence[str]) -> list[TaskFile]:
    """Return the tasks of ``tasks=FILE`` and ``tasks={NAME: FILE}``, each given once or more."""
    import yaml

    from lmlab.config.task_settings import check_names, parse_tasks
    from lmlab.tasks.task_file import TaskFile

    nodes: list[Any] = []
    for value in values:
        node: Any = value
        if value[:1] in ("{", "[") and not Path(value).exists():
            try:
                node = yaml.safe_load(value)
            except yaml.YAMLError as error:
                raise ConfigError(
                    f"tasks={value}: expected a file, or {{NAME: FILE}}",
                    "write a space after each colon: 'tasks={name: items.jsonl}'",
                ) from error
        nodes.append(node)
    entries = [entry for node in nodes for entry in parse_tasks(node, "tasks")]
    check_names(entries, "tasks")
    return [TaskFile(entry) for entry in entries]


def _print_tasks(loaded: Loaded, tasks: Sequence[Task], batch_size: int) -> None:
    from lmlab.tasks.evaluation import evaluate_tasks
    from lmlab.tasks.score_table import score_table

    model, tokenizer = loaded
    results = list(evaluate_tasks(model, tokenizer, tasks, batch_size=batch_size))
    print("\n".join(score_table(results)))


def _find(name: str, options: Options) -> Text:
    """The text of an option, whose files are found and recognized."""
    path = Path(name)
    if (path / "config.yaml").is_file() or (path / "config.json").is_file():
        raise DataError(
            f"text={name}: expected text, found the folder of a model",
            "evaluate one run at a time",
        )
    if name.startswith("[") and name.endswith("]") and not path.exists():
        names = [one.strip(" '\"") for one in name[1:-1].split(",") if one.strip(" '\"")]
        raise DataError(
            f"text={name}: no such file",
            f"repeat the key: {' '.join(f'text={one}' for one in names or ['FILE'])}",
        )
    rules = Text((), column=options.column, documents=options.documents, key="text")
    return rules.with_files(find_files("text", name, split="valid"))


def _line(text: str, width: int, result: ValidationResult) -> str:
    return (
        f"{text:<{width}}  {result.loss:8.4f}  {result.perplexity:10.3f}  "
        f"{result.bits_per_byte:9.4f}  {result.num_tokens:11,}"
    )


COMMAND = Command(
    name="evaluate",
    options=Options,
    act=print_scores,
    description="Measure the loss of a trained model (a run or a Hugging Face model directory)\n"
    "on text, or score it on tasks.",
    notes="""\
The loss is in nats per token, computed in float32. A text is split into windows of the model's
context length, and each token is predicted from the tokens that precede it in its window. Only the
first token of a text is not predicted. An end of text follows each record, and its loss counts.
Bits per byte are the total bits divided by the UTF-8 bytes of the text, without <|endoftext|>; the
bytes do not depend on the tokenizer, so that models with different tokenizers can be compared. With
max_tokens, they are the bytes of the tokens predicted.

Tasks are minimal pairs, multiple choice, cloze items and texts; docs/tasks.md lists their fields
and scores. A score that is a mean over items has its standard error beside it.
""",
    examples=[
        "outputs/runs/default/seed0 story.txt other.txt",
        "outputs/runs/default/seed0 'tasks={order: pairs.jsonl, wiki: {text: wiki.txt}}'",
    ],
)


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    return COMMAND.run(argv)


if __name__ == "__main__":
    run_main(main)
