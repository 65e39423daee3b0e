#!/usr/bin/env bash
# Measures steplm on a GPU, and PyTorch fp32 on the same card where Python has torch, and prints
# the ratios. Everything it prints is also in a folder.
#
#     docs/gpu/run.sh [--device DEVICE] [--out DIR] [--python PYTHON] [--peak GFLOPS]
#                     [--model PRESET] [--batch-size N] [--seq-len N] [--n N] [--steps N] [--skip PARTS]
#
# DEVICE is one that `steplm devices` lists; default: the first. PyTorch takes the first CUDA card.
# --peak is the card's fp32 peak by its data sheet, where PyTorch does not tell its clock.
# --skip goes to `steplm bench all`: parts to leave out, such as stages,readme; all: leave out the set.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

out=$(date +runs/bench-%Y%m%d-%H%M%S) python=python3 model=130m batch=8 length=256 n=4096 steps=10 device=() peak=() skip=()
while [ $# -gt 0 ]; do
    if [ $# -lt 2 ]; then echo "$0: $1 wants a value" >&2; exit 2; fi
    case $1 in
    --device) device=(--device "$2") ;;
    --out) out=$2 ;;
    --python) python=$2 ;;
    --peak) peak=(--peak "$2") ;;
    --model) model=$2 ;;
    --batch-size) batch=$2 ;;
    --seq-len) length=$2 ;;
    --n) n=$2 ;;
    --steps) steps=$2 ;;
    --skip) skip=(--skip "$2") ;;
    *) echo "$0: unknown flag $1; its head says which there are" >&2; exit 2 ;;
    esac
    shift 2
done

./justw build
mkdir -p "$out"
{
    date -u
    bin/steplm devices
    if [ "${skip[*]-}" != "--skip all" ]; then bin/steplm bench all "${device[@]}" "${skip[@]}"; fi
} 2>&1 | tee "$out/all.txt"

# In fp32, as PyTorch will compute.
bin/steplm bench matmul --m "$n" --n "$n" --k "$n" --precision f32 --json "${device[@]}" >"$out/matmul.json"
bin/steplm bench step --method vanilla --model "$model" --precision f32 --batch-size "$batch" --seq-len "$length" --steps "$steps" --json "${device[@]}" >"$out/step.json"
if "$python" -c 'import torch' 2>/dev/null; then
    "$python" docs/gpu/torch_step.py --model "$model" --batch-size "$batch" --seq-len "$length" --n "$n" --steps "$steps" "${peak[@]}" | tee "$out/torch.json"
fi
"$python" docs/gpu/compare.py "$out" | tee "$out/ratios.txt"
echo "all of it is in $out; docs/benchmarks.md says how to record it"
