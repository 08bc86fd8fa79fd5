//! PostgreSQL, primary and streaming standby: `pgbench` through a kill, and the gated way back with `docs/recipes/`.

use crate::{
    common::{
        eventually,
        process::{Process, command},
        proxy::Proxy,
        throughout,
    },
    postgres_server::{Postgres, bin, psql, text},
    recipe,
};
use failback::model::{
    Side,
    view::{HealthName, PairStateName},
};
use std::{
    process::Output,
    sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    time::Duration,
};

#[test]
fn pgbench_is_cut_by_a_kill_lands_on_the_backup_and_returns_with_every_commit() {
    let mut primary = Postgres::primary("PG_P");
    primary.ask("create role app login");
    primary.ask("create database bench owner app");
    let backup = Postgres::standby_of("PG_B", &primary);
    primary.wait_for_standby();
    let proxy = Proxy::with_pair(&pair(&primary, &backup));
    proxy.until_admissible("PG_B");
    let through = format!("host={} port={} user=app dbname=bench", proxy.route.ip(), proxy.route.port());
    assert_good(&pgbench(&proxy, &["-i", "-q", "-s", "1"]));
    text(&psql(&through, "create table journal (number int primary key)"));

    let committed = AtomicU32::new(0);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Ended however this closure ends, or a failed assertion would wait for the writer for ever.
        let _stops = Stop(&stop);
        scope.spawn(|| keep_committing(&through, &committed, &stop));
        let mut running = pgbench_running(&proxy);
        eventually("both are at work", || {
            (committed.load(SeqCst) > 5 && proxy.pair().sessions.primary >= 4).then_some(())
        });
        primary.kill();
        let ended = eventually("pgbench is cut off", || running.ended());
        assert!(!ended.success(), "{}", running.printed());
        proxy.settled_on(Side::Backup);
        backup.promote();

        // Whoever reconnects now is on the backup, and it has all that was ever acknowledged.
        let before = committed.load(SeqCst);
        eventually("commits go on", || (committed.load(SeqCst) > before + 3).then_some(()));
        assert_good(&pgbench(&proxy, &["-c", "4", "-t", "50", "-n"]));

        // The old primary comes back as it was, writable and stale, and is used by nobody.
        primary.launch();
        assert_eq!(primary.ask("select pg_is_in_recovery()"), "f");
        proxy.until_health("PG_P", HealthName::Up);
        throughout(Duration::from_secs(3), "the stale primary is used by nobody", || {
            proxy.pair().state == PairStateName::OnBackup
        });

        // Somebody makes it a standby of the backup; the rest happens by itself.
        primary.clone_from_primary(&backup);
        proxy.settled_on(Side::Primary);
        let before = committed.load(SeqCst);
        eventually("commits go on at the primary", || (committed.load(SeqCst) > before + 3).then_some(()));
        assert_good(&pgbench(&proxy, &["-c", "4", "-t", "50", "-n"]));
    });

    let committed = committed.load(SeqCst);
    let found = text(&psql(
        &format!("{} dbname=bench", primary.dsn()),
        &format!("select count(*) from journal where number <= {committed}"),
    ));
    assert_eq!(found, committed.to_string(), "every acknowledged commit is there");
    assert_eq!((proxy.failovers(), proxy.failbacks(), proxy.pair().epoch.0), (1.0, 1.0, 3));
}

/// Commits numbers in order, one connection each; a number is repeated until it is acknowledged.
fn keep_committing(dsn: &str, committed: &AtomicU32, stop: &AtomicBool) {
    while !stop.load(SeqCst) {
        let next = committed.load(SeqCst) + 1;
        // A commit whose answer was cut off may be there already.
        if psql(dsn, &format!("insert into journal values ({next}) on conflict do nothing")).status.success() {
            committed.store(next, SeqCst);
        }
    }
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

fn pair(primary: &Postgres, backup: &Postgres) -> String {
    let script = recipe("postgres-resync.sh");
    format!(
        "primary = {}\nbackups = [{}]\n\
         failback = {{ stable_for = \"500ms\", resync_every = \"300ms\", resync_timeout = \"60s\", \
         resync_command = [{script:?}, {:?}, {:?}, \"bench\"] }}",
        primary.toml(),
        backup.toml(),
        primary.dsn(),
        backup.dsn(),
    )
}

fn pgbench(proxy: &Proxy, words: &[&str]) -> Output {
    command(&pgbench_argv(proxy, words)).output().expect("pgbench is installed")
}

/// Four clients at work until they are cut off.
fn pgbench_running(proxy: &Proxy) -> Process {
    Process::start(&pgbench_argv(proxy, &["-c", "4", "-T", "60", "-n"]), &proxy.dir().join("pgbench.log"))
}

fn pgbench_argv(proxy: &Proxy, words: &[&str]) -> Vec<String> {
    let (ip, port) = (proxy.route.ip().to_string(), proxy.route.port().to_string());
    let mut argv = vec![bin("pgbench"), "-h".into(), ip, "-p".into(), port, "-U".into(), "app".into()];
    argv.extend(words.iter().map(|word| word.to_string()));
    argv.push("bench".into());
    argv
}

#[track_caller]
fn assert_good(output: &Output) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
}
