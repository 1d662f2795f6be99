#!/usr/bin/env bash
# huggingface_hub: an interrupted download loses what it has received
#
# Expected: hf_hub_download keeps a file ".incomplete" beside the cached one, and a later call goes on
#   from there, as it did up to 1.x. A shard of 2 GB that is interrupted at 1.9 GB needs 0.1 GB more.
# What happens: the temporary file has a random name and is removed when the call ends with an
#   exception, also KeyboardInterrupt, so that a later call asks for the whole file. After a kill it
#   stays in the cache and is never used. Within a call, a lost connection is resumed at the last
#   full piece of 10 MB.
# Version: huggingface_hub 2.4.0, Python 3.11. Date: 2026-11-30.
# In lmlab: src/lmlab/data/hub/package_client.py says so; lmlab's own downloads
#   (src/lmlab/data/download.py) resume.
# Exit code: 0 while this is so, 1 if it changes.
set -euo pipefail
unset PYTHONPATH HF_ENDPOINT HF_TOKEN HF_HUB_OFFLINE

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check huggingface_hub==2.4.0

cat > "$folder/program.py" <<'PROGRAM'
import contextlib
import http.server
import pathlib
import sys
import threading

CONTENT, COMMIT = bytes(30_000_000), "0" * 40
asked = []


class Handler(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        asked.append(self.headers.get("Range", "all"))
        start = int(asked[-1][6:-1]) if asked[-1] != "all" else 0
        self.answer(start)
        with contextlib.suppress(ConnectionError):
            self.wfile.write(CONTENT[start:])

    def answer(self, start=0):
        self.send_response(206 if start else 200)
        self.send_header("ETag", '"abc"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()

from huggingface_hub import hf_hub_download


class Interrupting:
    """A progress bar during which the user presses Ctrl-C, once 20 MB are there."""

    received = 0

    def __init__(self, *arguments, **options):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def update(self, count=1):
        Interrupting.received += count
        if 20_000_000 <= Interrupting.received < 30_000_000:
            raise KeyboardInterrupt


cache = pathlib.Path(sys.argv[1])
options = dict(endpoint=f"http://127.0.0.1:{server.server_address[1]}", cache_dir=cache)
try:
    hf_hub_download("a/b", "big.bin", tqdm_class=Interrupting, **options)
except KeyboardInterrupt:
    print("interrupted after", f"{Interrupting.received:,}", "bytes")
left = [path for path in cache.rglob("*incomplete*") if path.is_file()]
print("files that are left:", [path.stat().st_size for path in left])
Interrupting.received = 30_000_000
hf_hub_download("a/b", "big.bin", tqdm_class=Interrupting, **options)
print("ranges that were asked for:", asked)
sys.exit(0 if not left and asked == ["all", "all"] else 1)
PROGRAM
"$folder/venv/bin/python" "$folder/program.py" "$folder/cache"
