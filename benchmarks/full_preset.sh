#!/usr/bin/env bash
# Runs the preset `full` once from simulated 2457 x 1996 DICOM to a prediction, a few training steps each, and prints
# time and peak memory of every command. Run: bash benchmarks/full_preset.sh NEW_FOLDER (needs /usr/bin/time)
set -euo pipefail
out=$1
export OMP_NUM_THREADS=1
t() { /usr/bin/time -f "%C: %e s wall, %U user s, %M KiB peak" "$@"; }
few=(--set schedule.epochs=1 --set schedule.steps_per_epoch=2 --set workers=0 --set data.validation_share=0.3)
t comoto simulate --out "$out/exams" --size full --mammograms 4 --train 2 --validation 1 --test 1 --views 1 --seed 3 \
    --workers 1 --set mammography.lesion_share=0.75 --set tomosynthesis.lesion_share=1 \
    --set tomosynthesis.one_view_share=1 --set "anatomy.thickness_mm=[32,36]"
for name in bcs-dbt vindr-mammo; do
    t comoto index $name "$out/exams/$name" --out "$out/manifests/$name"
    t comoto prepare --manifest "$out/manifests/$name" --preset full --out "$out/prepared/$name" --workers 1
done
t comoto train teacher --mammograms "$out/prepared/vindr-mammo" --preset full --out "$out/teacher" "${few[@]}"
t comoto train student --tomosynthesis "$out/prepared/bcs-dbt" --mammograms "$out/prepared/vindr-mammo" \
    --teacher "$out/teacher" --preset full --out "$out/student" "${few[@]}" \
    --set joint.size=0 --set distill.kind=lesion_points --set selection.slice_step=12
t comoto predict --model "$out/student" --out "$out/predictions.csv" "$out/manifests/bcs-dbt" --split test --slice-step 4
