#!/bin/sh
# Exit 0 once the PostgreSQL primary holds everything its backup has, and takes writes again.
#   resync_command = ["postgres-resync.sh", "host=… user=postgres", "host=… user=postgres", "DATABASE"]
# failback runs it again and again while the pair is on its backup and the primary answers. Applications must not be
# superusers: a connection limit does not bind those.
set -eu
primary=$1 backup=$2 database=$3

ask_primary() { psql -XAtq -v ON_ERROR_STOP=1 "$primary dbname=postgres" -c "$1"; }
ask_backup() { psql -XAtq -v ON_ERROR_STOP=1 "$backup dbname=postgres" -c "$1"; }
# The fence travelled to the primary with the rest of the data.
admit() { ask_primary "alter database \"$database\" connection limit -1"; }
later() { echo "not yet: $*" >&2; exit 1; }

fenced=$(ask_backup "select datconnlimit = 0 from pg_database where datname = '$database'")
recovering=$(ask_primary 'select pg_is_in_recovery()')
if [ "$recovering" = f ]; then
    # Either it was promoted by this script, which fenced the backup first, or it is the stale primary that came back.
    [ "$fenced" = t ] || later "the primary is writable on its own: stale"
    admit
    exit 0
fi
# One that has just begun to follow is "not yet" at least once: failback counts a "done" only after it.
near="select count(*) from pg_stat_replication where state = 'streaming' and pg_current_wal_lsn() - replay_lsn < 16000000
    and backend_start < now() - interval '3 seconds'"
[ "$(ask_backup "$near")" -gt 0 ] || later "the primary is far behind"

# From here on the database takes no client on the backup: nothing can be written that the primary would not get.
unfence() { ask_backup "alter database \"$database\" connection limit -1"; }
trap unfence EXIT
ask_backup "alter database \"$database\" connection limit 0"
others="from pg_stat_activity where datname = '$database' and backend_type = 'client backend'"
tries=0
until [ "$(ask_backup "select count(pg_terminate_backend(pid)) $others")" = 0 ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 60 ] || later "sessions on the backup do not end"
    sleep 0.05
done
wanted=$(ask_backup 'select pg_current_wal_lsn()')
until [ "$(ask_primary "select pg_last_wal_replay_lsn() >= '$wanted'")" = t ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 120 ] || later "the primary does not catch up"
    sleep 0.05
done
trap - EXIT
[ "$(ask_primary 'select pg_promote()')" = t ] || later "the primary could not be promoted"
admit
