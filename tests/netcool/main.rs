//! What `docs/netcool.md` tells an ObjectServer's administrator to do, done: its script is taken from the page and run.

#[cfg(test)]
#[path = "../common/mod.rs"]
mod common;

#[cfg(test)]
mod the_documented_way {
    use super::common::{process::command, proxy::Proxy, server::Server};
    use failback::model::{Side, view::HealthName};
    use std::{fs, process::Output};

    /// The script of the page, started as an external procedure would.
    fn agg_resynced(proxy: &Proxy) -> Output {
        let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/netcool.md")).unwrap();
        let at = page.find("#!/bin/sh\n# agg-resynced").unwrap();
        let script = proxy.dir().join("agg-resynced");
        fs::write(&script, page[at..].split("```").next().unwrap()).unwrap();
        let token = proxy.dir().join("resync.token");
        fs::write(&token, "not needed on loopback\n").unwrap();
        let admin = proxy.admin.to_string();
        command(&["sh"]).arg(&script).args(["AGG_V", &admin]).env("RESYNC_TOKEN_FILE", token).output().unwrap()
    }

    #[test]
    fn n10_the_script_of_the_page_brings_the_clients_back_and_does_no_harm_when_repeated() {
        let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
        let proxy = Proxy::start(&primary, &backup, "failback = { stable_for = \"100ms\" }");
        proxy.until_health("AGG_B", HealthName::Up);
        primary.kill();
        let failed_over = proxy.settled_on(Side::Backup);
        primary.revive();
        proxy.until_health("AGG_P", HealthName::Up);
        assert!(agg_resynced(&proxy).status.success());
        let back = proxy.settled_on(Side::Primary);
        assert_eq!(back.epoch, failed_over.epoch.next());
        assert!(agg_resynced(&proxy).status.success(), "a signal at the wrong moment is no error");
        assert_eq!(proxy.pair().epoch, back.epoch, "and changes nothing");
        assert_eq!(proxy.failbacks(), 1.0);
    }
}
