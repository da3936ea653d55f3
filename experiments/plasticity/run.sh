#!/usr/bin/env bash
# Runs behind RESULTS.md that are missing, and then the table; started again, it goes on.
#   experiments/plasticity/run.sh RUNS [SCENARIO [OPTION...]]
# Options go to every run, such as --data-dir DIR, or --limit 100 --tasks 4 to try it out.
set -euo pipefail
runs=$1
scenario=${2:-plasticity-mnist}
options=("${@:3}")
cd "$(dirname "$0")/../.."
run() {
    python -m jaxcl.experiments.scenario --scenario "$scenario" --seeds 0 1 2 --stream \
        --checkpoint-every 60s --out "$runs/$1" --resume "${@:2}" "${options[@]}"
}
# Adam at 1e-3: plain training, and remedies.
run finetune-adam-1e-3 --together 3 --method finetune
run l2_init-1e-3 --together 3 --method l2_init --strength 1e-3
run shrink_perturb --together 3 --method shrink_perturb
run redo --together 1 --method redo # side by side, each step would draw the weights of a reset
run l2_init-1e-4 --together 3 --method l2_init --strength 1e-4
# Plain training in other ways.
run finetune-adam-3e-3 --together 3 --method finetune --lr 3e-3
run finetune-sgd-1e-2 --together 3 --method finetune --optimizer sgd --lr 1e-2
run scratch-adam-1e-3 --together 3 --method finetune --scratch True --keep-optimizer False
# The table is of this scenario alone.
test "$scenario" != plasticity-mnist || python experiments/plasticity/results.py "$runs"
