#!/usr/bin/env bash
# Our runs behind RESULTS.md that are missing, and then the table; started again, it goes on.
#   experiments/parity/run.sh RUNS [DATA [OPTION ...]]
set -euo pipefail
runs=$1
data=${2:+--data-dir $2}
options=("${@:3}")
cd "$(dirname "$0")/../.."

learn() { # NAME METHOD OPTION...: split CIFAR-10 in the protocol of Buzzega et al. 2020, cut short
    # shellcheck disable=SC2086
    python -m jaxcl.experiments.scenario --scenario split-cifar10 --setting class --width 20 \
        --epochs 1 --seeds 0 1 2 --checkpoint-every 60s --resume $data \
        --method "$2" --out "$runs/jaxcl/$1" "${@:3}" "${options[@]}"
}

learn finetune finetune
learn er er
learn der_pp der_pp --lr 0.03
learn er_ace er_ace
# What batch normalisation makes of it that new and kept images pass as one batch.
learn er_apart er --joined False
python experiments/parity/results.py "$runs"
