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
    python -m jaxcl.experiments.scenario --scenario "$scenario" --seeds 0 1 2 --together 3 \
        --stream --checkpoint-every 60s --out "$runs/$1" --resume "${@:2}" "${options[@]}"
}
# Plain training: Adam at two rates, gradient descent, and fresh weights for each task.
run finetune-adam-1e-3 --method finetune
run finetune-adam-3e-3 --method finetune --lr 3e-3
run finetune-sgd-1e-2 --method finetune --optimizer sgd --lr 1e-2
run fresh-adam-1e-3 --method finetune --scratch True --keep-optimizer False
# Remedies, all with Adam at 1e-3.
run l2_init-1e-4 --method l2_init --strength 1e-4
run l2_init-1e-3 --method l2_init --strength 1e-3
run shrink_perturb --method shrink_perturb
python experiments/plasticity/results.py "$runs"
