#!/usr/bin/env bash
# zstandard: three of its four ways to decompress end after the first frame of a file
#
# Expected: a zstd file may consist of several frames (RFC 8878, section 3.1), as parallel
#   compressors and programs that append write them. Every reader of a library gives the content of
#   all of them, or an error.
# What happens: ZstdDecompressor().stream_reader gives all of it. read_to_iter, decompress and
#   decompressobj give that of the first frame, and no error; where an empty frame stands first, as
#   after an empty flush, they give nothing at all.
# Version: zstandard 0.25.0, Python 3.11. Date: 2026-11-30.
# In lmlab: src/lmlab/records/byte_stream.py goes on with the next frame until the file ends
#   (test_all_frames_are_read).
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check zstandard==0.25.0

cat > "$folder/program.py" <<'PROGRAM'
import io
import sys

import zstandard

def read_all(data: bytes) -> dict[str, bytes]:
    decompressor = zstandard.ZstdDecompressor()
    return {
        "stream_reader": decompressor.stream_reader(io.BytesIO(data)).read(),
        "read_to_iter": b"".join(decompressor.read_to_iter(io.BytesIO(data))),
        "decompress": decompressor.decompress(data),
        "decompressobj": decompressor.decompressobj().decompress(data),
    }

def frame(text: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(text)

first_only = True
for name, texts in {"two frames": [b"first ", b"second"], "empty first": [b"", b"second"]}.items():
    whole, start = b"".join(texts), texts[0]
    found = read_all(b"".join(map(frame, texts)))
    print(f"{name}: {whole!r}")
    for way, text in found.items():
        print(f"  {way}: {text!r}")
    first_only &= found.pop("stream_reader") == whole
    first_only &= all(text == start for text in found.values())
sys.exit(0 if first_only else 1)
PROGRAM
"$folder/venv/bin/python" "$folder/program.py"
