#!/usr/bin/env bash
# The authors' runs that RESULTS.md lacks in the table of their code: that code, from a
# checkout of github.com/pclucas14/AML, in its own environment.
#   experiments/online/aml.sh RUNS AML [OPTION ...]
# RUN_NUMBERS in the environment: others than 0 and 1.
set -euo pipefail
mkdir -p "$1/aml"
runs=$(cd "$1/aml" && pwd)
options=("${@:3}")
cd "$2"
git rev-parse HEAD >"$runs/commit" 2>/dev/null || true

learn() { # SET NAME NUMBER OPTION...
    local log="$runs/$1/$2-$3"
    test -s "$log.log" && return
    mkdir -p "$runs/$1"
    python main.py --dataset "$1" --validation 0 --run "$3" "${@:4}" "${options[@]}" >"$log.part" 2>&1
    mv "$log.part" "$log.log"
}

# Images kept of each class, crops and flips, rates and weights are those that their record has as
# best.
der_pp="--method der++ --use_augs 1 --task_free 1 --lr 0.01 --beta 1"
icarl="--method icarl --lr 0.01"
for number in ${RUN_NUMBERS:-0 1}; do
    # shellcheck disable=SC2086
    {
        learn cifar10 der_pp-200 "$number" $der_pp --mem_size 20 --alpha 0.75
        learn cifar10 der_pp-1000 "$number" $der_pp --mem_size 100 --alpha 0.25
        learn cifar10 icarl-200 "$number" $icarl --mem_size 20
        learn cifar10 icarl-1000 "$number" $icarl --mem_size 100
        learn cifar10 iid "$number" --method iid --lr 0.01
        learn cifar100 er_ace-10000 "$number" --method er_ace --task_free 1 --lr 0.1 --mem_size 100
        learn cifar100 icarl-2000 "$number" $icarl --mem_size 20
        learn cifar100 icarl-10000 "$number" $icarl --mem_size 100
        learn cifar100 iid "$number" --method iid --lr 0.01
    }
done
