#!/bin/bash
# Hydra's sort gives other values than the range that it sorts.
#
# Expected: sort orders the values of a sweep. range(1,10,4) is 1, 5, 9, so that
#   sort(range(1,10,4),reverse=true) is 9, 5, 1.
# Seen: jobs with 6, 2 and -2; sort(range(10,1,-4)) runs 5, 9, 13 instead of 2, 6, 10. The range is
#   reversed from its ends, which is right only where the step divides its length.
# Versions: hydra-core 1.3.8, Python 3.11, 2026-11-29.
# Exit code: 0 while this is so, 1 if it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "hydra-core==1.3.8" "omegaconf==2.3.1"
cd "$folder"
cat > app.py <<'PYTHON'
import hydra


@hydra.main(config_path=None, version_base="1.3")
def main(config):
    print("job with", config.a)


main()
PYTHON
run() { "$folder/venv/bin/python" app.py -m "+a=$1" | grep '^job' | tr '\n' ' '; }
plain=$(run 'range(1,10,4)')
reversed=$(run 'sort(range(1,10,4),reverse=true)')
ascending=$(run 'sort(range(10,1,-4))')
printf 'range:            %s\nsorted, reversed: %s\nof range(10,1,-4): %s\n' \
    "$plain" "$reversed" "$ascending"
test "$plain" = "job with 1 job with 5 job with 9 "
test "$reversed" = "job with 6 job with 2 job with -2 "
test "$ascending" = "job with 5 job with 9 job with 13 "
