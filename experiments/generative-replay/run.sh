#!/usr/bin/env bash
# Runs of experiments, and then the tables of all that were run; started again, it goes on.
#   experiments/generative-replay/run.sh RUNS [NAME...]
# NAME: of an experiment below; by default all but those with street numbers.
# shellcheck disable=SC2086
set -euo pipefail
runs=${1:?name a folder for the runs}
shift
cd "$(dirname "$0")/../.."
all="chain permuted-5 permuted-10 mnist-mnist-m mnist-m-mnist mnist-mnist-m-lwf mnist-m-mnist-lwf"
all="$all mnist-usps usps-mnist fashion-mnist-lwf cifar10-mnist-lwf permuted-5-lwf permuted-10-lwf"
all="$all permuted-5-lwf-tenth split split-tried"
methods="--methods dgr exact_replay noise_replay finetune"
fewer="--iterations 2000 --hidden 400 400 --lr 1e-3"
half="--iterations 1000 --batch-size 64"
two="--methods dgr exact_replay finetune"
heads="--setting task --methods lwf lwf_gr"
compare() {  # name, then options
    name=$1
    shift
    python -m jaxcl.experiments.compare --seeds 0 1 2 --checkpoint-every 60s \
        --out "$runs/$name" "$@"
}
try() {  # options of split MNIST, in a folder that is named after them
    what=$(sed 's/^--//; s/ --/,/g; s/ /=/g' <<<"$*")
    python -m jaxcl.experiments.scenario --scenario split-mnist --setting class --method dgr \
        --seeds 0 1 2 --checkpoint-every 60s --resume --out "$runs/split-tried/$what" "$@"
}
for name in ${@:-$all}; do
    case $name in
        # (a) Five solvers, each but the first taught by the scholar before it alone.
        chain) compare chain --scenario mnist-chain --methods dgr --schedule cosine \
            --batch-size 64 --iterations 5000 --replay-temperature 15 --balance False --generated 240000 \
            --generator-lr 5e-4 --generator-steps 12000 ;;
        # (d) Old responses to images that say nothing of the old task, or to generated ones.
        permuted-*-lwf | permuted-*-lwf-tenth)
            tasks=${name#*-} weight=1
            case $name in *-tenth) weight=0.1 ;; esac # that of the scenario
            compare $name --scenario permuted-mnist --tasks ${tasks%%-*} $fewer --strength $weight \
                --methods lwf lwf_gr
            ;;
        # (b) The pixels in another order in each task.
        permuted-*) compare $name --scenario permuted-mnist --tasks ${name#*-} $fewer $methods ;;
        # (c) Two domains of the same digits.
        mnist-mnist-m | mnist-m-mnist) compare $name --scenario $name $half $two ;;
        mnist-usps | usps-mnist) compare $name --scenario $name $half $two ;;
        mnist-svhn | svhn-mnist) compare $name --scenario $name $two ;;
        # (d) The same with a head for each.
        *-lwf) compare $name --scenario ${name%-lwf} $half $heads ;;
        # (e) Two digits at a time, and all of them to be told apart.
        split) compare split --scenario split-mnist --setting class $methods --generator-lr 3e-4 ;;
        # What makes it better.
        split-tried)
            for rate in 1e-4 3e-4 5e-4; do try --generator-lr $rate; done
            try --generator-lr 3e-4 --heads full
            try --generator-lr 3e-4 --generated 60000
            try --generator-lr 3e-4 --replay-temperature 4
            ;;
        *) echo "$name: unknown; one of $all mnist-svhn svhn-mnist" >&2; exit 2 ;;
    esac
done
python experiments/generative-replay/results.py "$runs"
