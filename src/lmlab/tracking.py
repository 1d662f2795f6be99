"""Where metrics go besides ``metrics.jsonl``. A tracker never fails, hangs or delays a run."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import logging
import netrc
import os
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from lmlab.errors import ConfigError
from lmlab.io import hash_json

log = logging.getLogger(__name__)

PROBE_SECONDS = 3.0
FINISH_SECONDS = 30.0
_AXES = ("step", "tokens", "seconds")


@dataclasses.dataclass(frozen=True)
class RunInfo:
    """What a tracker tells about a run.

    Attributes:
        folder: the run folder.
        name: short and readable, the arm and seed.
        group: the study.
        tags: for filtering.
        config: the whole configuration.
        resumed: whether this session goes on with an earlier one.
    """

    folder: Path
    name: str
    group: str
    tags: tuple[str, ...]
    config: dict[str, Any]
    resumed: bool = False


class Tracker(Protocol):
    """Receives what a run measures."""

    def log(self, row: dict[str, Any]) -> None:
        """Take a row of metrics, as it goes to ``metrics.jsonl``."""
        ...

    def samples(self, rows: Sequence[dict[str, str]]) -> None:
        """Take the texts that the trained model wrote, by ``prompt`` and ``text``."""
        ...

    def summary(self, values: dict[str, Any]) -> None:
        """Take the run's final numbers."""
        ...

    def finish(self, exit_code: int) -> None:
        """End the session."""
        ...


class NoTracker:
    """Drops everything."""

    def log(self, row: dict[str, Any]) -> None:
        """Drop a row."""

    def samples(self, rows: Sequence[dict[str, str]]) -> None:
        """Drop samples."""

    def summary(self, values: dict[str, Any]) -> None:
        """Drop the summary."""

    def finish(self, exit_code: int) -> None:
        """Do nothing."""


def no_tracker(run_info: RunInfo) -> NoTracker:
    """Keep ``metrics.jsonl`` only."""
    del run_info
    return NoTracker()


def wandb_tracker(
    run_info: RunInfo, *, project: str, mode: str, entity: str | None = None
) -> Tracker:
    """Track in Weights & Biases, files below the run folder.

    Args:
        run_info: about the run.
        project: where the run is filed.
        mode: ``auto`` is online where an API key is present and the server takes it, else offline
            with one warning that says why; ``online`` is the same but warns without a key too;
            ``offline`` never asks.
        entity: account or team; None for the key's own.

    Raises:
        ConfigError: ``mode`` is none of the three.
    """
    if mode not in ("auto", "online", "offline"):
        raise ConfigError(f"logger.mode={mode}: accepted is auto, online or offline")
    try:
        return WandbTracker(run_info, project, entity, online=_may_go_online(mode))
    except Exception as error:  # a tracker's trouble, whatever it is, must not end a run
        log.warning("wandb cannot start (%s); metrics.jsonl has everything", _brief(error))
        return NoTracker()


class WandbTracker:
    """One session of a wandb run. The first failure ends the tracking, not the run."""

    def __init__(
        self, run_info: RunInfo, project: str, entity: str | None, *, online: bool
    ) -> None:
        import wandb

        self._wandb = wandb
        run_info.folder.mkdir(parents=True, exist_ok=True)
        settings = wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            disable_code=True,
            x_disable_stats=not online,
            init_timeout=10,
        )
        self._run: Any = wandb.init(
            project=project,
            entity=entity,
            dir=str(run_info.folder),
            id=hash_json(str(run_info.folder.resolve()))[:16],
            resume="allow",
            mode="online" if online else "offline",
            name=run_info.name,
            group=run_info.group,
            job_type="train",
            tags=list(run_info.tags),
            config=run_info.config,
            settings=settings,
        )
        for axis in _AXES:
            self._run.define_metric(axis, hidden=True)
        for kind in ("train", "validation"):
            self._run.define_metric(f"{kind}/*", step_metric="step")
        # The same losses once more, drawn against the other two axes.
        for axis in _AXES[1:]:
            self._run.define_metric(f"by_{axis}/*", step_metric=axis)

    def log(self, row: dict[str, Any]) -> None:
        """Send a row; see :class:`Tracker`."""
        kind = row["kind"]
        shared = {axis: row[axis] for axis in _AXES}
        own = {f"{kind}/{key}": value for key, value in row.items() if key not in (*_AXES, "kind")}
        again = {f"by_{axis}/{kind}_loss": row["loss"] for axis in _AXES[1:]}
        self._safely(lambda run: run.log(shared | own | again))

    def samples(self, rows: Sequence[dict[str, str]]) -> None:
        """Send samples as a table; see :class:`Tracker`."""

        def send(run: Any) -> None:
            data = [[row["prompt"], row["text"]] for row in rows]
            run.log({"samples": self._wandb.Table(columns=["prompt", "text"], data=data)})

        self._safely(send)

    def summary(self, values: dict[str, Any]) -> None:
        """Send the final numbers; see :class:`Tracker`."""
        self._safely(lambda run: run.summary.update({f"final/{k}": v for k, v in values.items()}))

    def finish(self, exit_code: int) -> None:
        """End the session; waits for a lost network no longer than half a minute."""
        run, self._run = self._run, None
        if run is None:
            return
        ended = threading.Event()

        def end() -> None:
            with contextlib.suppress(Exception):  # nothing depends on it any more
                run.finish(exit_code=exit_code)
            ended.set()

        threading.Thread(target=end, name="wandb-finish", daemon=True).start()
        if not ended.wait(FINISH_SECONDS):
            log.warning("wandb did not end in time; metrics.jsonl has everything")

    def _safely(self, send: Callable[[Any], object]) -> None:
        if self._run is None:
            return
        try:
            send(self._run)
        except Exception as error:  # a tracker's trouble, whatever it is, must not end a run
            self._run = None
            log.warning("wandb stopped (%s); metrics.jsonl has everything", _brief(error))


def _may_go_online(mode: str) -> bool:
    """Whether there is a key and a server that takes it; asks for at most three seconds."""
    if mode == "offline" or os.environ.get("WANDB_MODE") in ("offline", "disabled", "dryrun"):
        return False
    base_url = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").rstrip("/")
    key = _api_key(base_url)
    if key is None:
        if mode == "online":
            log.warning("wandb: no API key, so this run is recorded offline (wandb login sets one)")
        return False
    problem = _probe(base_url, key)
    if problem is not None:
        log.warning("wandb: %s, so this run is recorded offline (wandb sync sends it)", problem)
    return problem is None


def _api_key(base_url: str) -> str | None:
    key = os.environ.get("WANDB_API_KEY")
    if key:
        return key
    file = Path(os.environ.get("NETRC", str(Path.home() / ".netrc")))
    try:
        found = netrc.netrc(str(file)).authenticators(urllib.parse.urlsplit(base_url).netloc)
    except (OSError, netrc.NetrcParseError):
        return None
    return found[2] if found else None


def _probe(base_url: str, key: str) -> str | None:
    """Ask the server who the key belongs to; say what is wrong, or None.

    In a thread of its own: name look-up and proxies know no time limit.
    """
    answers: list[str | None] = []

    def ask() -> None:
        answers.append(_ask(base_url, key))

    asking = threading.Thread(target=ask, name="wandb-probe", daemon=True)
    asking.start()
    asking.join(PROBE_SECONDS)
    return answers[0] if answers else f"{base_url} does not answer"


def _ask(base_url: str, key: str) -> str | None:
    token = base64.b64encode(f"api:{key}".encode()).decode()
    request = urllib.request.Request(
        f"{base_url}/graphql",
        data=b'{"query": "query { viewer { id } }"}',
        headers={"Authorization": f"Basic {token}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=PROBE_SECONDS) as answer:
            content = answer.read(100_000)
    except urllib.error.HTTPError as error:
        return f"{base_url} refuses the API key (HTTP {error.code})"
    except (OSError, ValueError) as error:
        return f"{base_url} cannot be reached ({getattr(error, 'reason', error)})"
    if b'"viewer":null' in content.replace(b" ", b""):
        return f"{base_url} does not know the API key"
    return None


def _brief(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"
