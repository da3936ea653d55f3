#!/usr/bin/env bash
# A SLURM cluster of one node on this machine, for the tests: as root on Debian.
#
#   cluster.sh start DIR    cluster.sh stop DIR    cluster.sh install
#
# All that it writes lies in DIR, and nothing but the Debian packages is left behind.  To
# talk to it: export SLURM_CONF=DIR/slurm.conf
set -euo pipefail

SECONDS_TO_START=${SECONDS_TO_START:-60}
CPUS=${CPUS:-8} # more than there may be, so that four tasks find room on two cores

there() { command -v slurmctld && command -v slurmd && command -v srun && command -v munged; }

install() {
    there >/dev/null && return
    # What is installed starts no service; where a policy says so already, it stays.
    local policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod +x $policy
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends slurm-wlm munge
}

configure() {
    local name
    name=$(hostname -s)
    mkdir -p "$dir/state" "$dir/spool"
    chmod 755 "$dir"
    read -r first second < <(python3 - <<'PORTS'
import socket

with socket.socket() as one, socket.socket() as other:
    one.bind(("127.0.0.1", 0))
    other.bind(("127.0.0.1", 0))
    print(one.getsockname()[1], other.getsockname()[1])
PORTS
)
    cat >"$dir/slurm.conf" <<CONF
ClusterName=jaxcl
SlurmctldHost=$name(127.0.0.1)
SlurmctldPort=$first
SlurmdPort=$second
# JAX takes the port where processes meet from the job's number.
FirstJobId=$((RANDOM % 4000 + 1))
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A job that was requeued waits until its old credential has expired: else two minutes.
AuthInfo=socket=$dir/munge.sock,cred_expire=5
CredType=cred/munge
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
PlugStackConfig=$dir/plugstack.conf
ReturnToService=2
JobRequeue=1
MinJobAge=600
KillWait=20
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PreemptExemptTime=0
NodeName=$name NodeAddr=127.0.0.1 CPUs=$CPUS RealMemory=1000 State=UNKNOWN
PartitionName=main Nodes=$name Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=$name MaxTime=INFINITE State=UP PriorityTier=2
CONF
    : >"$dir/plugstack.conf"
    head -c 128 /dev/urandom >"$dir/munge.key"
    chmod 400 "$dir/munge.key"
}

start() {
    there >/dev/null || { echo "cluster.sh: SLURM is not here; run cluster.sh install" >&2; exit 1; }
    configure
    export SLURM_CONF=$dir/slurm.conf
    # --force: a folder below /tmp counts as unsafe.
    munged --force --socket="$dir/munge.sock" --key-file="$dir/munge.key" \
        --pid-file="$dir/munged.pid" --log-file="$dir/munged.log" --seed-file="$dir/munged.seed"
    slurmctld -f "$SLURM_CONF"
    slurmd -f "$SLURM_CONF"
    local until=$((SECONDS + SECONDS_TO_START))
    until [ "$(sinfo -h -p main -o %t 2>/dev/null)" = idle ]; do
        if [ $SECONDS -gt $until ]; then
            echo "cluster.sh: no idle node after $SECONDS_TO_START s; see $dir/slurm*.log" >&2
            stop
            exit 1
        fi
        sleep 0.2
    done
}

stop() {
    export SLURM_CONF=$dir/slurm.conf
    scancel --quiet --user=root --full --signal=KILL 2>/dev/null || true
    local name pid
    for name in slurmd slurmctld munged; do
        pid=$(cat "$dir/$name.pid" 2>/dev/null) || continue
        kill "$pid" 2>/dev/null || continue
        for _ in $(seq 50); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.2
        done
        kill -KILL "$pid" 2>/dev/null || true
    done
}

case ${1:-} in
install) install ;;
start | stop)
    dir=$(realpath -m "${2:?cluster.sh: give a folder}")
    "$1"
    ;;
*)
    echo "cluster.sh: give install, start DIR or stop DIR" >&2
    exit 2
    ;;
esac
