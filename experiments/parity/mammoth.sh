#!/usr/bin/env bash
# Mammoth's runs behind RESULTS.md that are missing: its own code, from a checkout of it.
#   experiments/parity/mammoth.sh RUNS MAMMOTH [OPTION ...]
set -euo pipefail
mkdir -p "$1/mammoth"
runs=$(cd "$1/mammoth" && pwd)
options=("${@:3}")
cd "$2"
git rev-parse HEAD >"$runs/commit" 2>/dev/null || true

learn() { # NAME SEED OPTION...
    test -s "$runs/$1-$2.log" && return
    python main.py --dataset seq-cifar10 --backbone reduced-resnet18 --n_epochs 1 --batch_size 32 \
        --seed "$2" "${@:3}" "${options[@]}" >"$runs/$1-$2.part" 2>&1
    mv "$runs/$1-$2.part" "$runs/$1-$2.log"
}

kept="--buffer_size 200 --minibatch_size 32"
# shellcheck disable=SC2086
for seed in 0 1 2; do
    learn finetune $seed --model sgd --lr 0.1
    learn er $seed --model er --lr 0.1 $kept
    learn der_pp $seed --model derpp --lr 0.03 --alpha 0.1 --beta 0.5 $kept
    learn er_ace $seed --model er_ace --lr 0.1 --use_custom_classifier 0 --task_free 1 $kept
done
