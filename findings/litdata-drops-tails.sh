#!/usr/bin/env bash
# litdata: the ids at the end of each chunk that do not fill a block are never read
#
# Expected: a StreamingDataset of tokens yields all ids in blocks, as its chunks are one text; at most
#   the last block of the set is short, and something says that it is left out.
# What happens: blocks do not reach from one chunk into the next. Of each chunk, the last
#   (ids modulo block_size) ids are left out, without a word. With small chunks or long blocks this
#   is a large part of the text: here 0 %, 4 % and 23 %, by the length of a block alone.
# Version: litdata 0.2.76 with torch 2.14.1, Python 3.11. Date: 2026-11-30.
# In lmlab: src/lmlab/data/token_formats/litdata.py reads all ids of a chunk, and chunks in a row.
# Exit code: 0 while this is so, 1 if it changes.
set -euo pipefail
unset PYTHONPATH

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check litdata==0.2.76 \
    torch==2.14.1 torchvision==0.29.1 numpy==2.4.6 lightning-utilities==0.15.3 \
    boto3==1.44.8 obstore==0.12.1 tifffile==2026.3.3

cat > "$folder/program.py" <<'PROGRAM'
import sys

import numpy as np
from litdata import StreamingDataset, optimize
from litdata.streaming.item_loader import TokensLoader


def ids_of(number):
    return np.arange(number * 100, number * 100 + 100, dtype=np.uint16)


if __name__ == "__main__":
    optimize(
        fn=ids_of, inputs=list(range(40)), output_dir=sys.argv[1], chunk_bytes=2000,
        num_workers=1, item_loader=TokensLoader(),
    )
    found = []
    for block_size in (100, 64, 256):
        blocks = StreamingDataset(sys.argv[1], item_loader=TokensLoader(block_size=block_size))
        found.append(sum(len(block) for block in blocks))
        print(f"block_size={block_size}: {found[-1]:,} of 4,000 ids")
    sys.exit(0 if found == [4000, 3840, 3072] else 1)
PROGRAM
cd "$folder"
"$folder/venv/bin/python" "$folder/program.py" "$folder/ids" 2> "$folder/log" | grep "of 4,000 ids"
