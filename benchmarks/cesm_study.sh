#!/usr/bin/env bash
# A cross-modal study on real images (CDD-CESM), from nothing: folds by patient, prepared stores, teachers, students,
# one table a direction over all patients. The same command continues where it was stopped.
#
# Run: bash benchmarks/cesm_study.sh FOLDER IMAGES [options of benchmarks/cesm_study.py]
# IMAGES: the released folder, or the 512 x 512 copies with boxes_from_masks.csv. They stay where they are.
set -euo pipefail

python "$(cd "$(dirname "$0")" && pwd)/cesm_study.py" "$@"
