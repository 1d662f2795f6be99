"""``python -m lmlab.config.reference``: the page of all settings, made from schema and files.

What a setting means stands where it is defined: in the comment beside it in ``conf/``, else in the
documentation of the dataclass field or of the variant's parameter.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from lmlab.config.paths import conf_folder
from lmlab.config.signatures import read_docstring, read_signature
from lmlab.config.target_validation import SUPPLIED

_HEAD = """\
# Configuration reference

Made by `make docs` from the files in `conf/` and the signatures of the code; a test keeps it so.

A run is `conf/train.yaml` with one option from each group. `key=value` sets a setting,
`group=option` chooses, on the command line, in experiment files and in
`lmlab.config.compose.compose` alike. `???` must be given; `${...}` is taken from another setting;
`+` stands before a setting that no file names.
"""
_GROUP_NOTES = {
    "experiment": "Studies from files; each sets what its body says, and `design` or `demo`.",
    "scale": "How large a study is; sets what its body says.",
}
_LINE = re.compile(r"^(\s*)([\w.]+):(?: ([^#]*?))?\s*(?:#\s*(.*))?$")


def page() -> str:
    """The page in Markdown."""
    parts = [_HEAD, "## Settings of every run\n", *_table(rows_of(conf_folder() / "train.yaml"))]
    for group in groups():
        parts += _section(group)
    return "\n".join(parts).rstrip() + "\n"


def groups() -> list[str]:
    """The groups that a person chooses from, ``model/norm`` and so on."""
    found = {
        str(path.parent.relative_to(conf_folder()))
        for path in conf_folder().rglob("*.yaml")
        if path.parent != conf_folder()
    }
    return sorted(found - {"hydra/help", "hydra/sweeper"})


def _section(group: str) -> Iterator[str]:
    yield f"\n## `{group.replace('/', '.')}`\n"
    if group in _GROUP_NOTES:
        yield _GROUP_NOTES[group] + "\n"
    for path in sorted((conf_folder() / group).glob("*.yaml")):
        comment = _leading_comment(path)
        content = yaml.safe_load(path.read_text("utf-8")) or {}
        target = _target(content)
        told = [f"### `{group.replace('/', '.')}={path.stem}`", ""]
        first = read_docstring(target).partition("\n\n")[0] if target else ""
        text = comment or _plain(" ".join(first.split()))
        told += [text, ""] if text else []
        told += [f"`{target}`", ""] if target else []
        yield "\n".join(told)
        if group not in _GROUP_NOTES:
            rows = list(_option_rows(group, path, target))
            if rows:
                yield from _table(rows)
                yield ""


def _target(content: dict[str, Any]) -> str | None:
    if "_target_" in content:
        return str(content["_target_"])
    inner = [v["_target_"] for v in content.values() if isinstance(v, dict) and "_target_" in v]
    return str(inner[0]) if len(inner) == 1 and "init" not in content else None


def _option_rows(group: str, path: Path, target: str | None) -> Iterator[tuple[str, str, str]]:
    """The rows of one option: what its file says, then knobs that it leaves at their default."""
    known = _parameters(target) if target else {}
    prefix = "" if path.read_text("utf-8").startswith("# @package _global_") else f"{group}/"
    seen = set()
    for key, value, comment in rows_of(path):
        name = key.rpartition(".")[2]
        seen.update(key.split("."))
        yield f"{prefix.replace('/', '.')}{key}", value, comment or known.get(name, "")
    signature = (
        read_signature(target)
        if target and target.startswith(("lmlab.", "lmlab_studies."))
        else None
    )
    hidden = SUPPLIED.get(group.replace("/", "."), ())
    for name, parameter in signature.parameters.items() if signature else ():
        free = name not in seen and name not in hidden
        if free and _can_be_written(parameter.annotation):
            yield f"+{group.replace('/', '.')}.{name}", "not set", known.get(name, "")


def _can_be_written(annotation: str | None) -> bool:
    """Whether YAML can hold such a value."""
    words = set(re.findall(r"\w+", annotation or ""))
    return words <= {"str", "int", "float", "bool", "None", "list", "Sequence", "tuple", "dict"}


def rows_of(path: Path) -> list[tuple[str, str, str]]:
    """Dotted key, value and comment of each setting of a file, in its order."""
    rows: list[tuple[str, str, str]] = []
    parents: list[tuple[int, str]] = []
    for line in path.read_text("utf-8").splitlines():
        found = _LINE.match(line)
        if not found or line.lstrip().startswith(("#", "-")):
            continue
        indent, key, value, comment = len(found[1]), found[2], found[3] or "", found[4] or ""
        parents = [parent for parent in parents if parent[0] < indent]
        dotted = ".".join([*(name for _, name in parents), key])
        parents.append((indent, key))
        if dotted.split(".")[0] in ("defaults", "hydra") or key == "_target_":
            continue
        if value or comment:
            rows.append((dotted, value, comment))
    return rows


def _table(rows: list[tuple[str, str, str]]) -> Iterator[str]:
    yield "| setting | default | meaning |\n|---|---|---|"
    for key, value, identity_settings in rows:
        shown = f"`{value.replace('|', chr(92) + '|')}`" if value else ""
        yield f"| `{key}` | {shown} | {identity_settings.replace('|', chr(92) + '|')} |"


def _leading_comment(path: Path) -> str:
    lines = path.read_text("utf-8").splitlines()
    first = [line for line in lines if not line.startswith("# @package")]
    found = []
    for line in first:
        if not line.startswith("#"):
            break
        found.append(line.removeprefix("#").strip())
    return " ".join(found)


def _parameters(target: str) -> dict[str, str]:
    """What a docstring says of each parameter (``Args:`` in Google's style)."""
    text = inspect.cleandoc(read_docstring(target))
    _, _, rest = text.partition("Args:\n")
    found: dict[str, str] = {}
    name = ""
    for line in rest.splitlines():
        if line and not line.startswith(" "):
            break
        entry = re.match(r"^    (\w+): (.*)$", line)
        if entry:
            name = entry[1]
            found[name] = entry[2]
        elif name and line.strip():
            found[name] += " " + line.strip()
    return {key: _plain(text) for key, text in found.items()}


def _plain(text: str) -> str:
    """A docstring's marks as Markdown's."""
    return re.sub(r":\w+:`~?([^`]*)`", r"`\1`", text).replace("``", "`")


if __name__ == "__main__":
    sys.stdout.write(page())
