#!/usr/bin/env bash
# A run on a TPU slice of Google Cloud, asked for as a queued resource:
#   PROJECT=p ZONE=z BUCKET=gs://b bash launch/tpu_queued.sh run --scenario split-mnist --method ewc
# Commands: create, wait, setup, run, delete, or all of them in turn: all.  A spot slice that was
# taken away is deleted and asked for again by "all" with the same NAME; the run goes on with
# what is in the bucket.
set -euo pipefail

NAME=${NAME:-jaxcl}       # of the slice and of the run
PROJECT=${PROJECT:-}      # of Google Cloud
ZONE=${ZONE:-}            # such as us-east5-b
BUCKET=${BUCKET:-}        # gs://..., where runs are kept
TYPE=${TYPE:-v6e-8}       # --accelerator-type
RUNTIME=${RUNTIME:-v2-alpha-tpuv6e} # --runtime-version, which goes with TYPE
SPOT=${SPOT:-1}           # 0 for a slice that is not taken away
PERIOD=${PERIOD:-60}      # seconds between copies to the bucket
PAUSE=${PAUSE:-20}        # seconds until a last copy that failed is tried again
MOST_TRIES=${MOST_TRIES:-20}
TAKEN_SECONDS=${TAKEN_SECONDS:-90} # until a slice that is being taken away does not count as ACTIVE

here=$(cd "$(dirname "$0")/.." && pwd)
for name in PROJECT ZONE BUCKET; do
    if [ -z "${!name}" ]; then
        echo "error: $name is not set; give it in the environment, as $name=... $0" >&2
        exit 2
    fi
done
place=(--project="$PROJECT" --zone="$ZONE")
resources=(gcloud compute tpus queued-resources)
vm=(gcloud compute tpus tpu-vm)

do_it() {
    if [ "${DRY_RUN:-0}" = 1 ]; then
        printf '%q ' "$@"
        echo
    else
        "$@"
    fi
}

create() {
    local spot=()
    [ "$SPOT" = 0 ] || spot=(--spot)
    do_it "${resources[@]}" create "$NAME" --node-id="$NAME" "${place[@]}" \
        --accelerator-type="$TYPE" --runtime-version="$RUNTIME" ${spot[@]+"${spot[@]}"}
}

state() { do_it "${resources[@]}" describe "$NAME" "${place[@]}" --format="value(state.state)"; }

wait_for_it() {
    local now=
    if [ "${DRY_RUN:-0}" = 1 ]; then
        state
        return
    fi
    until [ "$now" = ACTIVE ]; do
        now=$(state) || return
        case $now in
        FAILED | SUSPENDED)
            echo "error: $NAME: the slice is $now; delete it and ask again, or for another TYPE" >&2
            return 1
            ;;
        esac
        sleep 30
    done
}

on_all() { do_it "${vm[@]}" ssh "$NAME" "${place[@]}" --worker=all --command="$1"; }

# The images' own Python may be too old for jaxcl; uv brings one.
setup() {
    local archive=${TMPDIR:-/tmp}/jaxcl-$NAME.tar.gz
    do_it git -C "$here" archive --output="$archive" HEAD &&
        do_it "${vm[@]}" scp "$archive" "$NAME:jaxcl.tar.gz" "${place[@]}" --worker=all &&
        on_all 'set -eu; mkdir -p jaxcl; tar -xzf jaxcl.tar.gz -C jaxcl
python3 -m pip install --quiet --user uv
python3 -m uv venv --quiet --python 3.12 jaxcl-venv
python3 -m uv pip install --quiet --python jaxcl-venv/bin/python "./jaxcl[tpu]"'
}

# Every worker reads the run from the bucket; the one that holds its lock, and so writes the
# folder, copies it back.  What it copies is a snapshot, as a run removes old checkpoints at any
# time: a copy of the folder itself could miss the old one as well as the new one, and then delete
# the last whole one in the bucket.  A snapshot is made of hard links: files of a run are replaced
# or grow, and a checkpoint goes with the first lines of a longer metrics.jsonl too.  Nothing is
# deleted in the bucket before the whole snapshot is there, so one that is cut off leaves what was.
# On a slice that is used again, files that are newer than the bucket's are kept.
run() {
    local args folder bucket buckets
    args=$(printf '%q ' "$@")
    folder=$(printf '%q' "runs/$NAME")
    buckets=$(printf '%q' "${BUCKET%/}")
    bucket=$buckets/$(printf '%q' "$NAME")
    on_all "set -u; mkdir -p $folder
held=\$(gcloud storage ls $buckets/) || exit 1 # out of reach is not empty: push would delete the run
case \$held in *$bucket/*)
    gcloud storage rsync --recursive --skip-if-dest-has-newer-mtime $bucket $folder || exit 1
    ;;
esac
snapshot() { # cp fails if a file goes between its listing and its link
    for try in 1 2 3 4 5; do
        rm -rf $folder.copy
        cp -al $folder $folder.copy && return
        sleep 1
    done
    return 1
}
upload() {
    gcloud storage rsync --recursive \"\$@\" --exclude='(^|/)\\.lock\$' $folder.copy $bucket
}
push() {
    [ -e $folder/.lock ] || return 0
    pushed=0
    snapshot && upload && upload --delete-unmatched-destination-objects || pushed=1
    rm -rf $folder.copy
    return \$pushed
}
(
    trap exit TERM # once the copy that is under way is done
    while :; do
        sleep $PERIOD &
        wait \$!
        push
    done
) >/dev/null 2>&1 &
copying=\$!
code=0
JAX_NUM_PROCESSES=auto jaxcl-venv/bin/python -m jaxcl.experiments.scenario $args \\
    --out $folder --resume=$folder || code=\$?
kill \$copying
wait \$copying
for try in 1 2 3 4 5; do
    push && exit \$code
    [ \$try = 5 ] || sleep $PAUSE
done
echo \"error: $NAME: no copy to $bucket; the results are on the slice, in $folder\" >&2
case \$code in 0 | 75) code=1 ;; esac # neither is to be deleted or started again without a copy
exit \$code"
}

delete() { do_it "${resources[@]}" delete "$NAME" "${place[@]}" --force --quiet; }

# A slice that is taken away ends the connection: it is asked for again, so many times.  One that
# is there all the same means that the program was interrupted and saved (75), and goes on there,
# or that it failed, and would fail again.
all() {
    local try code ready=0
    for ((try = 1; try <= MOST_TRIES; try++)); do
        code=1
        if [ $ready = 1 ] || { create && wait_for_it && setup; }; then
            code=0
            run "$@" || code=$?
        fi
        if [ $code = 0 ]; then
            delete
            return
        fi
        ready=0
        sleep "$TAKEN_SECONDS"
        if [ "$(state)" = ACTIVE ]; then
            if [ $code = 75 ]; then
                ready=1
                continue
            fi
            echo "error: $NAME: the run failed, and the slice is kept; see above, then: $0 delete" >&2
            return 1
        fi
        delete || true # there is none if create failed
    done
    [ $ready = 0 ] || delete || true # the run is in the bucket
    echo "error: $NAME: not done after MOST_TRIES=$MOST_TRIES tries; start again to go on" >&2
    return 1
}

case ${1:-} in
create | setup | run | delete | all) "$@" ;;
wait) wait_for_it ;;
*)
    echo "error: ${1:-no command}: give create, wait, setup, run ARGUMENTS, delete or all ARGUMENTS" >&2
    exit 2
    ;;
esac
