#!/usr/bin/env bash
# Runs behind RESULTS.md that are missing, and then the tables; started again, it goes on.
#   experiments/families/run.sh RUNS [DATA]
set -euo pipefail
runs=$1
data=${2:+--data-dir $2}
cd "$(dirname "$0")/../.."
for setting in task domain class; do
    python -m jaxcl.experiments.compare --scenario split-mnist --setting "$setting" \
        --methods finetune joint ewc si lwf er --seeds 0 1 2 3 4 \
        --out "$runs/split-mnist/$setting" --checkpoint-every 60s $data
done
# The published program has an output for each of the ten digits from the first task on.
python -m jaxcl.experiments.compare --scenario split-mnist --setting class --heads full \
    --methods finetune joint ewc si lwf er --seeds 0 1 2 3 4 \
    --out "$runs/split-mnist-full/class" --checkpoint-every 60s $data
# The published runs deal the digits out in another order for each seed.
for order in 1 2 3 4 5; do
    for cell in task:finetune domain:finetune domain:si class:si; do
        setting=${cell%:*}
        python -m jaxcl.experiments.scenario --scenario split-mnist --order "$order" \
            --seeds "$order" --setting "$setting" --method "${cell#*:}" --checkpoint-every 60s \
            --out "$runs/split-mnist-order-$order/$setting/${cell#*:}" --resume $data
    done
done
python -m jaxcl.experiments.compare --scenario digits-0-4-5-9 \
    --methods finetune er --seeds 0 1 2 3 4 --out "$runs/digits-0-4-5-9/class" $data
# Long runs have a folder for each seed.
for seed in 0 1 2; do
    if [ "$seed" = 0 ]; then other=; else other=-seed-$seed; fi
    python -m jaxcl.experiments.compare --scenario permuted-mnist --seeds "$seed" \
        --methods ewc si lwf er dgr --out "$runs/permuted-mnist$other/domain" --checkpoint-every 60s $data
    # The sum of the distillation over the classes instead of its mean.
    python -m jaxcl.experiments.compare --scenario permuted-mnist --seeds "$seed" \
        --methods lwf --strength 1 --out "$runs/permuted-mnist-strength-1$other/domain" \
        --checkpoint-every 60s $data
done
# A similar pair and a dissimilar one, with less data and fewer epochs than the scenario's.
for seed in 0 1 2; do
    if [ "$seed" = 0 ]; then other=; else other=-seed-$seed; fi
    short="--seeds $seed --limit 10000 --epochs 5 --checkpoint-every 60s $data"
    for pair in mnist-fashion:mnist-fashion 4:cifar10-mnist; do
        # shellcheck disable=SC2086
        python -m jaxcl.experiments.compare --scenario "${pair%:*}" $short \
            --methods finetune feature_extraction lwf joint --out "$runs/${pair#*:}$other/task"
    done
    # shellcheck disable=SC2086
    python -m jaxcl.experiments.compare --scenario 3 $short --methods pnn \
        --out "$runs/mnist-cifar10$other/task"
done
python experiments/families/results.py "$runs"
