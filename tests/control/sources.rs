//! The source of the resync signal that the proxy asks by itself.

use crate::common::{proxy::Proxy, server::Server, throughout};
use failback::model::{
    Side, TransitionReason,
    view::{HealthName, PairStateName},
};
use std::{fs, time::Duration};

#[test]
fn a_command_that_says_done_leads_the_way_back_once_it_has_said_not_done() {
    let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
    let dir = tempfile::tempdir().expect("a directory");
    let done = dir.path().join("done");
    let command = format!(
        "failback = {{ stable_for = \"200ms\", resync_command = [\"test\", \"-e\", {done:?}], \
         resync_every = \"100ms\" }}"
    );
    // A leftover of the last time: it was done before this failover began.
    fs::write(&done, "").expect("a file");
    let proxy = Proxy::start(&primary, &backup, &command);
    proxy.until_admissible("AGG_B");
    primary.kill();
    proxy.settled_on(Side::Backup);
    primary.revive();
    proxy.until_health("AGG_P", HealthName::Up);
    throughout(Duration::from_secs(1), "an old answer is no signal", || proxy.pair().state == PairStateName::OnBackup);

    fs::remove_file(&done).expect("the file");
    throughout(Duration::from_secs(1), "not done is no signal", || proxy.pair().state == PairStateName::OnBackup);
    fs::write(&done, "").expect("a file");

    let pair = proxy.settled_on(Side::Primary);
    assert_eq!((pair.epoch.0, pair.reason), (3, TransitionReason::MigrationDone), "{pair:#?}");
    assert_eq!(proxy.leads_to(), "AGG_P");
}
