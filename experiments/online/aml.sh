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

learn() { # NAME NUMBER OPTION...
    test -s "$runs/$1-$2.log" && return
    python main.py --dataset cifar10 --validation 0 --run "$2" "${@:3}" "${options[@]}" \
        >"$runs/$1-$2.part" 2>&1
    mv "$runs/$1-$2.part" "$runs/$1-$2.log"
}

for number in ${RUN_NUMBERS:-0 1}; do
    for row in 200:20:0.75 1000:100:0.25; do # images kept, of each class, and alpha
        IFS=: read -r room each alpha <<<"$row"
        learn "der_pp-$room" "$number" --method der++ --mem_size "$each" --use_augs 1 \
            --task_free 1 --lr 0.01 --alpha "$alpha" --beta 1
    done
done
