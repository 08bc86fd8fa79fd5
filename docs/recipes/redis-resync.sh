#!/bin/sh
# Exit 0 once the Redis primary holds everything its backup has, and is the master again.
#   resync_command = ["redis-resync.sh", "PRIMARY_HOST", "PRIMARY_PORT", "BACKUP_HOST", "BACKUP_PORT"]
# failback runs it again and again while the pair is on its backup and the primary answers.
set -eu
primary_host=$1 primary_port=$2 backup_host=$3 backup_port=$4

primary() { redis-cli -e -h "$primary_host" -p "$primary_port" "$@"; }
backup() { redis-cli -e -h "$backup_host" -p "$backup_port" "$@"; }
field() { tr -d '\r' | sed -n "s/^$1://p"; }
later() { echo "not yet: $*" >&2; exit 1; }

state=$(primary INFO replication)
backup_state=$(backup INFO replication)
if [ "$(echo "$state" | field role)" = master ]; then
    # Either it was prepared before, in this very failover, or it is the stale master that came back.
    [ "$(echo "$backup_state" | field role)" = slave ] || later "the primary is a master on its own: stale"
    [ "$(primary GET failback:prepared)" = "$FAILBACK_EPOCH" ] || later "nobody prepared the primary in this failover"
    exit 0
fi
[ "$(echo "$state" | field master_host):$(echo "$state" | field master_port)" = "$backup_host:$backup_port" ] ||
    later "the primary replicates somebody else"
[ "$(echo "$state" | field master_link_status)" = up ] || later "the primary is still loading"

# From here on the backup refuses writes (NOREPLICAS), without a time limit that could pass too early. Reads go on.
fence() { backup CONFIG SET min-replicas-to-write "$1" >/dev/null; }
trap 'fence 0' EXIT
fence 100
wanted=$(backup INFO replication | field master_repl_offset)
tries=0
until [ "$(primary INFO replication | field slave_repl_offset)" -ge "$wanted" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 60 ] || later "the primary does not catch up"
    sleep 0.05
done
# The mark comes before the backup gives up its role: redis-promote.sh looks for it.
primary REPLICAOF NO ONE >/dev/null
primary SET failback:prepared "$FAILBACK_EPOCH" >/dev/null
# A replica refuses writes by itself (READONLY), so the fence can go.
backup REPLICAOF "$primary_host" "$primary_port" >/dev/null
