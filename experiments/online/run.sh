#!/usr/bin/env bash
# Runs behind RESULTS.md that are missing, and then the tables; started again, it goes on.
#   experiments/online/run.sh RUNS [DATA [OPTION ...]]
# A part of it: SETS, BUFFERS, METHODS and SEEDS in the environment, such as METHODS="er er_ace".
# METHODS="labels_for_new labels_apart labels_of_all ace_cosine ace_of_all scaled" is for the last
# tables: iCaRL with another loss, ER-ACE with another classifier and more rivals, and all classes
# of CIFAR-10 at once with images from -1 to 1 (TFDS_DATA_DIR says where these are).
set -euo pipefail
runs=$1
data=${2:+--data-dir $2}
options=("${@:3}")
sets=${SETS:-cifar10 cifar100}
methods=${METHODS:-finetune iid er er_ace der_pp agem icarl}
seeds=${SEEDS:-0 1 2 3 4}
cd "$(dirname "$0")/../.."

learn() { # SCENARIO NAME OPTION...: a run for each seed, in a folder of its own
    for seed in $seeds; do
        # shellcheck disable=SC2086
        python -m jaxcl.experiments.scenario --scenario "$1" --setting class --seeds $seed \
            --checkpoint-every 60s --resume $data --out "$runs/$1/$2/seed-$seed" \
            "${@:3}" "${options[@]}"
    done
}

# With or without crops and flips, rates and weights: as published, for each method and data set.
for set in $sets; do
    case " $methods " in *" finetune "*) learn "online-$set" finetune --method finetune --augment ;; esac
    case " $methods " in *" iid "*) learn "online-$set" iid --method finetune --tasks 1 --augment ;; esac
    if [ "$set" = cifar10 ]; then
        case " $methods " in *" scaled "*)
            learn scaled-cifar10 finetune --method finetune \
                --plugin experiments/online/scaled.py
            ;;
        esac
        rooms="200 1000" crops=(--augment crop flip) ace=0.01
    else
        rooms="2000 10000" crops=(--augment) ace=0.1
    fi
    for room in ${BUFFERS:-$rooms}; do
        for method in $methods; do
            keep=(--method "$method" --buffer "$room")
            name="$method-$room"
            case $method in
            er) learn "online-$set" "$name" "${keep[@]}" "${crops[@]}" --lr 0.02 ;;
            er_ace) learn "online-$set" "$name" "${keep[@]}" "${crops[@]}" --lr $ace ;;
            der_pp)
                if [ "$room" = 200 ]; then alpha=0.75; else alpha=0.25; fi
                learn "online-$set" "$name" "${keep[@]}" --augment crop flip --alpha $alpha
                ;;
            labels_for_new | labels_apart | labels_of_all)
                learn "online-$set" "$name" --method labels_for_new --buffer "$room" --augment \
                    --plugin experiments/online/labels_for_new.py \
                    --apart "$([ "$method" != labels_for_new ] && echo True || echo False)" \
                    --unseen "$([ "$method" = labels_of_all ] && echo True || echo False)"
                ;;
            ace_cosine | ace_of_all)
                learn "online-$set" "$name" --buffer "$room" "${crops[@]}" --lr $ace \
                    --plugin experiments/online/cosine_head.py experiments/online/ace_of_all.py \
                    --net cosine_resnet18 --width 20 --initial uniform \
                    --method "$([ "$method" = ace_cosine ] && echo er_ace || echo ace_of_all)"
                ;;
            agem | icarl) learn "online-$set" "$name" "${keep[@]}" --augment ;;
            esac
        done
    done
done
python experiments/online/results.py "$runs"
