#!/usr/bin/env bash
# Runs behind RESULTS.md that are missing, and then the tables; started again, it goes on.
#   experiments/frozen/run.sh RUNS [DATA]
set -euo pipefail
runs=$1
data=${2:+--data-dir $2}
cd "$(dirname "$0")/../.."
# What predicts here is not trained; the head is, and one epoch of it is enough.
for name in ncm slda ranpac ranpac-fixed; do
    fixed=$([ "$name" = ranpac-fixed ] && echo "--ridge 1e4" || true)
    for order in {0..9}; do
        # shellcheck disable=SC2086
        python -m jaxcl.experiments.scenario --scenario frozen-cifar100 --method "${name%-fixed}" \
            $fixed --order "$order" --epochs 1 --out "$runs/order-$order/$name" --resume $data
    done
done
for name in ncm slda ranpac; do
    # shellcheck disable=SC2086
    python -m jaxcl.experiments.scenario --scenario frozen-omniglot --method "$name" --epochs 1 \
        --out "$runs/omniglot/$name" --resume $data
done
# shellcheck disable=SC2086
python experiments/frozen/ridge.py "$runs" $data
python experiments/frozen/results.py "$runs"
