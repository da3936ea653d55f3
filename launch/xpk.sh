#!/usr/bin/env bash
# A run on TPUs of a GKE cluster, by xpk (pip install xpk):
#   CLUSTER=c PROJECT=p ZONE=z IMAGE=i STORAGE=s bash launch/xpk.sh --scenario split-mnist --method ewc
# The image is made from launch/Containerfile; STORAGE is a bucket that "xpk storage attach" made
# known to the cluster, mounted at MOUNT.
set -euo pipefail

NAME=${NAME:-jaxcl}     # of the workload and of the run
CLUSTER=${CLUSTER:-}
PROJECT=${PROJECT:-}
ZONE=${ZONE:-}
IMAGE=${IMAGE:-}        # such as europe-docker.pkg.dev/PROJECT/jaxcl/jaxcl:latest
STORAGE=${STORAGE:-}
MOUNT=${MOUNT:-/runs}
TYPE=${TYPE:-v6e-8}     # --tpu-type
MOST_RESTARTS=${MOST_RESTARTS:-20}
GRACE=${GRACE:-120}     # seconds to save when a pod is asked to go
XPK=${XPK:-xpk}
XPK_OPTIONS=${XPK_OPTIONS:-} # such as --spot

for name in CLUSTER PROJECT ZONE IMAGE STORAGE; do
    if [ -z "${!name}" ]; then
        echo "error: $name is not set; give it in the environment, as $name=... $0" >&2
        exit 2
    fi
done
read -ra options <<<"${XPK_OPTIONS//$'\n'/ }" # read takes one line
folder=$MOUNT/$NAME
# exec: xpk starts it in a shell, which would keep the signal that asks it to save.
run=$(printf '%q ' exec python -m jaxcl.experiments.scenario "$@" --out "$folder" --resume="$folder")
# A run that was interrupted and saved ends with 75; all pods are then started again.
command=("$XPK" workload create --workload="$NAME" --cluster="$CLUSTER" --project="$PROJECT"
    --zone="$ZONE" --tpu-type="$TYPE" --docker-image="$IMAGE" --storage="$STORAGE"
    --max-restarts="$MOST_RESTARTS" --restart-on-exit-codes=75
    --termination-grace-period-seconds="$GRACE" --env JAX_NUM_PROCESSES=auto
    --command "$run" ${options[@]+"${options[@]}"})
if [ "${DRY_RUN:-0}" = 1 ]; then
    printf '%q ' "${command[@]}"
    echo
    exit
fi
"${command[@]}"
