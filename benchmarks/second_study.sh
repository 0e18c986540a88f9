#!/usr/bin/env bash
# The second exams' study, from nothing: simulated exams, prepared stores, teachers, three variants, tables.
# It first says how long it will take; the same command continues where it was stopped.
#
# Run: bash benchmarks/second_study.sh FOLDER [WORKERS] [study|window|controls|paired]
set -euo pipefail

command -v comoto >/dev/null || { echo "comoto is not on the PATH: activate its environment" >&2; exit 2; }
here="$(cd "$(dirname "$0")" && pwd)"
part="${3:-study}"
python "$here/second_study.py" "$1" --workers "${2:-2}" --part "$part"
if [ "$part" != paired ]; then
    comoto study table "$1/study"
    comoto study rules "$1/study"
    comoto study depth "$1/study" --slice-mm 1
fi
