#!/usr/bin/env bash
# The study of docs/results.md, from nothing: simulated exams, prepared stores, all runs, tables.
# The same command continues where it was stopped.
#
# Run: bash benchmarks/simulated_study.sh FOLDER [WORKERS]
set -euo pipefail

study="$(cd "$(dirname "$0")" && pwd)/simulated_study.yaml"
workers="${2:-2}"
mkdir -p "$1"
cd "$1"

comoto simulate --out exams --size demo --workers "$workers" \
    --set seed=2026 --set tomosynthesis.lesion_share=0.8 \
    --set mammography.training_patients=350 --set mammography.test_patients=20 \
    --set tomosynthesis.train_patients=200 --set tomosynthesis.validation_patients=40 \
    --set tomosynthesis.test_patients=130
for name in bcs-dbt vindr-mammo; do
    comoto index "$name" "exams/$name" --out "manifests/$name" --overwrite
    comoto prepare --manifest "manifests/$name" --preset demo --out "prepared/$name" --workers "$workers"
done

comoto study run "$study" --out study --workers "$workers"
comoto study table study
comoto study table study --rule published
comoto study table study --rule fusion-0.1
comoto study table study --reference pretraining-impa
comoto study rules study
