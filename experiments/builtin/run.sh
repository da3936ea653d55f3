#!/usr/bin/env bash
# Runs behind the figure that are missing, and then the figure; started again, it goes on.
#   experiments/builtin/run.sh RUNS
set -euo pipefail
runs=$1
cd "$(dirname "$0")/../.."
for method in finetune lwf select; do
    python -m jaxcl.experiments.scenario --method "$method" --seeds 0..4 \
        --out "$runs/$method" --checkpoint-every 60s --resume
done
python experiments/builtin/figure.py "$runs"
