#!/bin/bash
# Hydra's sort changes the values of the range that it sorts.
#
# Expected: sort orders the values of a sweep. range(1,10,4) is 1, 5, 9, so
#   sort(range(1,10,4),reverse=true) is 9, 5, 1, and sort(range(10,1,-4)) is 2, 6, 10.
# Seen: jobs with 6, 2 and -2, and with 5, 9 and 13. Hydra reverses the range by swapping its ends,
#   which is correct only if the step divides their distance.
# Versions: hydra-core 1.3.8, omegaconf 2.3.1, Python 3.11, 2026-11-29.
# Exit code: 0 while this is so, 1 if it changes.
set -euo pipefail
unset PYTHONPATH  # no other packages than those installed here
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
