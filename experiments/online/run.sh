#!/usr/bin/env bash
# Runs behind RESULTS.md that are missing, and then the tables; started again, it goes on.
#   experiments/online/run.sh RUNS [DATA [OPTION ...]]
# A part of it: SETS, BUFFERS, METHODS and SEEDS in the environment, such as METHODS="er er_ace".
set -euo pipefail
runs=$1
data=${2:+--data-dir $2}
options=("${@:3}")
sets=${SETS:-cifar10 cifar100}
methods=${METHODS:-finetune iid er er_ace der_pp agem icarl}
seeds=${SEEDS:-0 1 2 3 4}
cd "$(dirname "$0")/../.."

learn() { # SCENARIO NAME OPTION...: one run in a folder of its own, on images held out
    # shellcheck disable=SC2086
    python -m jaxcl.experiments.scenario --scenario "$1" --setting class --seeds $seeds \
        --validation 0.1 --checkpoint-every 60s --resume $data --out "$runs/$1/$2" \
        "${@:3}" "${options[@]}"
}

for set in $sets; do
    # 20 and 100 images of each class, as published.
    if [ "$set" = cifar10 ]; then rooms="200 1000"; else rooms="2000 10000"; fi
    for method in $methods; do
        case $method in
        finetune) learn "online-$set" finetune --method finetune ;;
        iid) learn "online-$set" iid --method finetune --tasks 1 ;;
        esac
    done
    for room in ${BUFFERS:-$rooms}; do
        for method in $methods; do
            out="$method-$room"
            case $method in
            er) learn "online-$set" "$out" --method er --buffer "$room" --lr 0.02 ;;
            er_ace | der_pp | agem)
                learn "online-$set" "$out" --method "$method" --buffer "$room" ;;
            # Old responses are recorded for images as they are.
            icarl) learn "online-$set" "$out" --method icarl --buffer "$room" --augment ;;
            esac
        done
    done
done
python experiments/online/results.py "$runs"
