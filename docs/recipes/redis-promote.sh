#!/bin/sh
# Makes the Redis backup the master when failback leads clients to it. Runs beside the backup, for good.
#   redis-promote.sh ADMIN_URL PAIR PRIMARY_HOST PRIMARY_PORT BACKUP_HOST BACKUP_PORT
set -eu
admin=$1 pair=$2 primary_host=$3 primary_port=$4 backup_host=$5 backup_port=$6

primary() { redis-cli -e -h "$primary_host" -p "$primary_port" "$@"; }
backup() { redis-cli -e -h "$backup_host" -p "$backup_port" "$@"; }

# A backup that is a replica while clients are led to it is wanted as the master, unless redis-resync.sh has just prepared
# the primary and the clients are about to go there. A primary that died after that was prepared in vain.
wanted() {
    answer=$(curl -fsS "$admin/api/v1/pairs/$pair") || return 1
    [ "$(echo "$answer" | jq -r .active_side)" = backup ] || return 1
    backup INFO replication | grep -q '^role:slave' || return 1
    [ "$(echo "$answer" | jq -r '.upstreams[0].health')" = down ] && return 0
    prepared=$(primary GET failback:prepared) || return 1
    [ "$prepared" != "$(echo "$answer" | jq -r .epoch)" ]
}

while sleep 0.1; do
    if wanted; then
        # The fence of redis-resync.sh may still stand, if that was killed half-way.
        backup CONFIG SET min-replicas-to-write 0 >/dev/null
        backup REPLICAOF NO ONE >/dev/null && echo "promoted"
    fi
done
