//! The aggregation servers of the demo and of `docker-compose.yml`: they stand for a pair whose primary, when it returns, is
//! stale and loses what it is sent until it was resynchronised. If they were kinder than that, the demo would prove nothing.

#[cfg(test)]
mod common;

#[cfg(test)]
mod servers {
    use crate::common::{address::own_address, client::Client, eventually, process::Process};
    use std::{net::SocketAddr, path::PathBuf, process::Command};
    use tempfile::TempDir;

    const PROGRAM: &str = env!("CARGO_BIN_EXE_failback");

    struct Pair {
        folder: TempDir,
        primary: SocketAddr,
        backup: SocketAddr,
        resync_time: &'static str,
    }

    impl Pair {
        fn new(resync_time: &'static str) -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            Self { folder, primary: own_address(), backup: own_address(), resync_time }
        }

        fn start(&self, name: &str) -> Process {
            let file = |suffix: &str| self.folder.path().join(format!("{name}.{suffix}")).display().to_string();
            let (listen, peer) = match name {
                "AGG_P" => (self.primary.to_string(), vec!["--peer".to_owned(), self.backup.to_string()]),
                _ => (self.backup.to_string(), vec![]),
            };
            let mut argv: Vec<String> =
                [PROGRAM, "demo", "server", "--name", name, "--listen", &listen].map(Into::into).into();
            argv.extend(["--data".into(), file("events"), "--resync-time".into(), self.resync_time.into()]);
            argv.extend(peer);
            Process::start(&argv, &PathBuf::from(file("log")))
        }

        fn until(&self, server: SocketAddr, words: &str) {
            eventually(words, || {
                let asked = Command::new(PROGRAM).args(["demo", "ask", &server.to_string()]).output().expect("it runs");
                String::from_utf8_lossy(&asked.stdout).contains(words).then_some(())
            });
        }
    }

    fn probe(id: u64, server: SocketAddr, greeting: &str) -> Client {
        let mut probe = Client::connect(server);
        assert_eq!(probe.ask(&format!("PROBE {id}")).expect("a greeting"), greeting);
        probe
    }

    #[track_caller]
    fn store(probe: &mut Client, seq: u64) {
        assert_eq!(probe.ask(&format!("EVENT {seq}")).expect("an acknowledgement"), format!("STORED {seq}"));
    }

    #[test]
    fn a_primary_that_returns_is_stale_and_what_it_is_sent_is_deleted_by_the_resync() {
        let pair = Pair::new("200ms");
        let _backup = pair.start("AGG_B");
        let mut primary = pair.start("AGG_P");
        pair.until(pair.primary, "AGG_P is whole, with 0 events");

        let mut one = probe(1, pair.primary, "HELLO AGG_P whole");
        (1..=5).for_each(|seq| store(&mut one, seq));
        pair.until(pair.backup, "AGG_B is whole, with 5 events");

        primary.kill();
        pair.until(pair.backup, "AGG_B is alone, with 5 events");
        let mut one = probe(1, pair.backup, "HELLO AGG_B alone");
        // The fifth is sent again, as a probe does that missed its acknowledgement.
        (5..=9).for_each(|seq| store(&mut one, seq));
        pair.until(pair.backup, "AGG_B is alone, with 9 events");

        let _primary = pair.start("AGG_P");
        pair.until(pair.primary, "AGG_P is stale, with 5 events");
        let mut misled = probe(2, pair.primary, "HELLO AGG_P stale");
        store(&mut misled, 1);
        pair.until(pair.primary, "AGG_P is stale, with 6 events");

        assert_eq!(Client::connect(pair.backup).ask("RESYNC").expect("an answer"), "OK");
        pair.until(pair.primary, "AGG_P is whole, with 9 events");
        let refusal = Client::connect(pair.backup).ask("RESYNC").expect("an answer");
        assert_eq!(refusal, "NO neither server is stale");

        store(&mut one, 10);
        pair.until(pair.primary, "AGG_P is whole, with 10 events");
        pair.until(pair.backup, "AGG_B is whole, with 10 events");
    }

    #[test]
    fn a_primary_that_hung_is_stale_when_it_wakes_whatever_it_had_been_sent() {
        let pair = Pair::new("200ms");
        let _backup = pair.start("AGG_B");
        let primary = pair.start("AGG_P");
        pair.until(pair.primary, "AGG_P is whole, with 0 events");
        let mut one = probe(1, pair.primary, "HELLO AGG_P whole");
        store(&mut one, 1);

        primary.signal("STOP");
        one.say("EVENT 2").expect("the kernel takes it");
        let mut two = probe(2, pair.backup, "HELLO AGG_B whole");
        store(&mut two, 1);
        pair.until(pair.backup, "AGG_B is alone, with 2 events");
        primary.signal("CONT");
        pair.until(pair.primary, "AGG_P is stale, with ");

        assert_eq!(Client::connect(pair.primary).ask("RESYNC").expect("an answer"), "OK");
        pair.until(pair.primary, "AGG_P is whole, with 2 events");
        let held = |server| Client::connect(server).ask("DUMP").expect("an answer");
        assert_eq!((held(pair.primary), held(pair.backup)), ("HELD 1 1 1".into(), "HELD 1 1 1".into()));
    }

    #[test]
    fn a_resync_misses_nothing_of_what_comes_in_one_go_while_it_runs() {
        const BACKLOG: u64 = 1_500;
        let pair = Pair::new("1s");
        let mut backup = pair.start("AGG_B");
        let mut primary = pair.start("AGG_P");
        pair.until(pair.backup, "AGG_B is whole, with 0 events");
        primary.kill();
        pair.until(pair.backup, "AGG_B is alone, with 0 events");
        for id in 1..=4 {
            let mut probe = probe(id, pair.backup, "HELLO AGG_B alone");
            (1..=100).for_each(|seq| store(&mut probe, seq));
        }
        backup.kill();

        // Both return; the resync has only begun when all that happened meanwhile comes, as if held by a proxy till now.
        let _primary = pair.start("AGG_P");
        pair.until(pair.primary, "AGG_P is stale, with 0 events");
        let _backup = pair.start("AGG_B");
        pair.until(pair.backup, "AGG_B is alone, with 400 events");
        let mut probes = [1, 2, 3, 4].map(|id| probe(id, pair.backup, "HELLO AGG_B alone"));
        eventually("the resync begins", || {
            (Client::connect(pair.backup).ask("RESYNC").expect("an answer") == "OK").then_some(())
        });
        let events: Vec<String> = (101..=BACKLOG).map(|seq| format!("EVENT {seq}")).collect();
        probes.iter_mut().for_each(|probe| probe.say(&events.join("\n")).expect("it is connected"));
        for probe in &mut probes {
            for seq in 101..=BACKLOG {
                assert_eq!(probe.hear().expect("an acknowledgement"), format!("STORED {seq}"));
            }
        }
        pair.until(pair.backup, &format!("AGG_B is whole, with {} events", 4 * BACKLOG));
        pair.until(pair.primary, &format!("AGG_P is whole, with {} events", 4 * BACKLOG));

        // Nor is a later event acknowledged without the other: their count of copies is the same.
        store(&mut probe(1, pair.backup, "HELLO AGG_B whole"), BACKLOG + 1);
        pair.until(pair.primary, &format!("AGG_P is whole, with {} events", 4 * BACKLOG + 1));
    }

    #[test]
    fn the_proxys_configuration_for_the_compose_file_is_good() {
        let folder = tempfile::tempdir().expect("a folder");
        let (tokens, copy) = (folder.path().join("tokens"), folder.path().join("failback.toml"));
        std::fs::write(&tokens, "operator:operate:0123456789\ngateway:resync:AGG_V:9876543210\n").expect("a file");
        let text = include_str!("../deploy/compose/failback.toml");
        std::fs::write(&copy, text.replace("/run/failback/tokens", &tokens.display().to_string())).expect("a file");
        let config = failback::config::load(&copy).unwrap_or_else(|errors| panic!("{errors}"));
        assert!(config.pairs.contains_key("AGG_V"));
    }
}
