"""Whether a wandb server is there and takes the API key, asked in bounded time."""

from __future__ import annotations

import base64
import http.client
import json
import netrc
import os
import threading
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

PROBE_SECONDS = 3.0


def find_key(base_url: str) -> str | None:
    """The API key for the server at ``base_url``: of the environment, else of the netrc file."""
    key = os.environ.get("WANDB_API_KEY")
    if key:
        return key
    file = Path(os.environ.get("NETRC", str(Path.home() / ".netrc")))
    try:
        found = netrc.netrc(str(file)).authenticators(urllib.parse.urlsplit(base_url).netloc)
    except (OSError, netrc.NetrcParseError):
        return None
    return found[2] if found else None


def find_problem(base_url: str, key: str) -> str | None:
    """Ask the server who the key belongs to; say what is wrong, or None.

    In a thread of its own: name look-up and proxies know no time limit.
    """
    answers: list[str | None] = []

    def ask() -> None:
        answers.append(_ask(base_url.rstrip("/"), key))

    asking = threading.Thread(target=ask, name="wandb-probe", daemon=True)
    asking.start()
    asking.join(PROBE_SECONDS)
    return answers[0] if answers else f"{base_url} does not answer"


def _ask(base_url: str, key: str) -> str | None:
    token = base64.b64encode(f"api:{key}".encode()).decode()
    try:
        request = urllib.request.Request(
            f"{base_url}/graphql",
            data=b'{"query": "query { viewer { id } }"}',
            headers={"Authorization": f"Basic {token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PROBE_SECONDS) as answer:
            content = answer.read(100_000)
    except urllib.error.HTTPError as error:
        refused = " refuses the API key" if error.code in (401, 403) else " answers with an error"
        return f"{base_url}{refused} (HTTP {error.code})"
    except (OSError, ValueError, http.client.HTTPException) as error:
        return f"{base_url} cannot be reached ({getattr(error, 'reason', error)})"
    return _read_answer(base_url, content)


def _read_answer(base_url: str, content: bytes) -> str | None:
    try:
        viewer = json.loads(content)["data"]["viewer"]
    except (ValueError, LookupError, TypeError):  # a hotel's log-in page, say
        return f"{base_url} does not answer as a wandb server"
    return None if viewer else f"{base_url} does not know the API key"
