#!/usr/bin/env bash
# Runs behind ablations.md that are missing, and then the table; started again, it goes on.
#   experiments/lwf-select/ablations.sh RUNS [DATA]
# SEEDS in the environment: others than 0, 1 and 2.
set -euo pipefail
runs=$1
data=${2:+--data-dir $2}
seeds=${SEEDS:-0 1 2}
cd "$(dirname "$0")/../.."
vary() {  # a folder, then the values of settings; 6,000 images to train with, 2,000 to test on
    # shellcheck disable=SC2086
    python -m jaxcl.experiments.sweep --scenario 4 --method select --seeds $seeds --epochs 5 \
        --limit 8000 --validation 0.25 --checkpoint-every 60s --out "$runs/$1" $data --grid "${@:2}"
}
vary base lr=1e-3 # every setting is the scenario's; below, all but one are
vary threshold threshold=0.5,0.7,0.8,0.9,0.99
vary similarity similarity=frechet,cosine,cka,rsa,svcca
vary start start=fresh
vary warmup warmup_epochs=0,3
vary temperature temperature=1,4
vary lambda strength=1,5,50
vary l2 l2=0,1e-4,1e-2
vary later_l2 later_l2=1e-4,1e-3
vary schedule schedule=constant
vary later_lr later_lr=1e-3,1e-4
vary resize resize=pad
python experiments/lwf-select/ablations.py "$runs"
