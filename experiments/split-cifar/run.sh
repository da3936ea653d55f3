#!/usr/bin/env bash
# Runs behind RESULTS.md that are missing, and then the tables; started again, it goes on.
#   experiments/split-cifar/run.sh RUNS [DATA [OPTION ...]]
# A part of it: METHODS, BUFFERS and SEEDS in the environment, such as METHODS="er der_pp".
set -euo pipefail
runs=$1
data=${2:+--data-dir $2}
options=("${@:3}")
methods=${METHODS:-finetune joint er der_pp agem er_ace icarl}
seeds=${SEEDS:-0 1 2 3 4}
cd "$(dirname "$0")/../.."

learn() { # NAME OPTION...: one run, whose seeds train together where there is an accelerator
    # shellcheck disable=SC2086
    python -m jaxcl.experiments.scenario --scenario split-cifar10 --setting class --seeds $seeds \
        --checkpoint-every 300s --resume $data --out "$runs/split-cifar10/$1" "${@:2}" \
        "${options[@]}"
}

for method in $methods; do
    case $method in finetune | joint) learn "$method" --method "$method" ;; esac
done
for room in ${BUFFERS:-200 500 5120}; do
    for method in $methods; do
        keep=(--method "$method" --buffer "$room")
        case $method in
        er | er_ace | icarl) learn "$method-$room" "${keep[@]}" ;;
        agem) learn "$method-$room" "${keep[@]}" --lr 0.03 ;;
        # Weights that its authors found for each buffer.
        der_pp)
            case $room in
            200) weights=(--alpha 0.1 --beta 0.5) ;;
            500) weights=(--alpha 0.2 --beta 0.5) ;;
            *) weights=(--alpha 0.1 --beta 1) ;;
            esac
            learn "$method-$room" "${keep[@]}" --lr 0.03 "${weights[@]}"
            ;;
        esac
    done
done
python experiments/split-cifar/results.py "$runs"
