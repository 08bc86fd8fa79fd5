//! The gap: primary fails, clients reach the backup, and nothing leads them back but a signal.

use crate::common::{proxy::Proxy, server::Server};
use failback::model::{Side, view::HealthName};

#[test]
fn n2_primary_fails_new_clients_reach_the_backup_and_old_sessions_are_closed() {
    let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
    let proxy = Proxy::start(&primary, &backup, "");
    proxy.until_health("AGG_B", HealthName::Up);
    let mut probe = proxy.client();
    assert_eq!(probe.server(), "AGG_P");

    primary.kill();

    probe.wait_end();
    assert_eq!(proxy.leads_to(), "AGG_B");
    let pair = proxy.settled_on(Side::Backup);
    assert_eq!(pair.epoch.0, 2);
    assert_eq!(&*pair.active_upstream, "AGG_B");
    assert_eq!(proxy.failovers(), 1.0);
}
