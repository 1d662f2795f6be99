#!/usr/bin/env bash
# Makes kept_run/, beside this script: what a build of lmlab leaves behind, for later builds to read.
#
#   make_kept_run.sh CHECKOUT PYTHON            make all of it with the lmlab of a checkout
#   make_kept_run.sh --golden CHECKOUT PYTHON   train the runs of golden.json again and compare bits
#
# PYTHON must have lmlab's dependencies; an lmlab installed there is not used. Every command runs in
# kept_run/ (or in a copy of it) with relative paths, so that no file names a path of this machine.
# tests/integration/compatibility reads the files. They were made by commit b51ca59, the last one
# before modules moved, with an earlier version of this script: make them again only when a change
# of the numerics makes every earlier run another run.
set -euo pipefail

piece=make
if [ "${1:-}" = --golden ]; then piece=golden; shift; fi
[ $# -eq 2 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$1" && pwd)/src
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# A Python with the dependencies but without the folders that PYTHON's .pth files add: one of them
# may be another checkout, whose Hydra plugins would be found too.
"$2" -m venv --without-pip "$scratch/venv"
python=$scratch/venv/bin/python
"$2" -c 'import site; print(*site.getsitepackages(), sep="\n")' \
  > "$("$python" -c 'import site; print(site.getsitepackages()[0])')/dependencies.pth"
mkdir "$scratch/home"
clean=(env -i "PATH=$PATH" "HOME=$scratch/home" "XDG_CACHE_HOME=$scratch/home/cache"
  "XDG_CONFIG_HOME=$scratch/home/config" LANG=C.UTF-8 "PYTHONPATH=$source:$here"
  PYTHONDONTWRITEBYTECODE=1)
"${clean[@]}" "$python" - "$source" <<'PY'
import sys
from pathlib import Path
import hydra_plugins, lmlab
assert Path(lmlab.__file__).is_relative_to(sys.argv[1]), lmlab.__file__
assert list(hydra_plugins.__path__) == [sys.argv[1] + "/hydra_plugins"], hydra_plugins.__path__
PY

if [ "$piece" = make ]; then
  rm -rf "$here/kept_run"
  mkdir "$here/kept_run"
fi
cd "$here/kept_run"
"${clean[@]}" "$python" "$here/make_kept_run.py" "$piece" "$scratch"
