#!/usr/bin/env bash
# Runs behind RESULTS.md that are missing, and then the tables; started again, it goes on.
#   experiments/generative-replay/run.sh RUNS [DATA]
set -euo pipefail
runs=$1
data=${2:+--data-dir $2}
cd "$(dirname "$0")/../.."
methods="dgr exact_replay noise_replay finetune"
compare() {  # name, then options
    name=$1
    shift
    # shellcheck disable=SC2086
    python -m jaxcl.experiments.compare --seeds 0 1 2 --checkpoint-every 60s \
        --out "$runs/$name" $data "$@"
}
# (a) Five solvers, each but the first taught by the scholar before it alone.
compare chain --scenario mnist-chain --schedule cosine --generated 60000 \
    --generator-lr 5e-4 --generator-steps 6000 --methods dgr
# (b) The pixels in another order in each task.
for tasks in 5 10; do
    # shellcheck disable=SC2086
    compare "permuted-$tasks" --scenario permuted-mnist --tasks "$tasks" \
        --hidden 400 400 --iterations 2000 --lr 1e-3 --methods $methods
done
# (c), (d) Two domains of the same digits.
for scenario in mnist-mnist-m mnist-m-mnist; do
    half=(--scenario "$scenario" --iterations 1000 --batch-size 64)
    compare "$scenario" "${half[@]}" --methods dgr exact_replay finetune
    compare "$scenario-lwf" "${half[@]}" --setting task --methods lwf lwf_gr
done
# (d) again, the old responses with a weight so low that LwF forgets.
compare mnist-m-mnist-lwf-weak --scenario mnist-m-mnist --iterations 1000 --batch-size 64 \
    --setting task --lam 0.03 --methods lwf lwf_gr
# (e) Two digits at a time, and all of them to be told apart.
# shellcheck disable=SC2086
compare split --scenario split-mnist --setting class --methods $methods
python experiments/generative-replay/results.py "$runs"
