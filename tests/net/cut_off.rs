//! When neither server answers it may be us: nothing changes but that newcomers wait.

use crate::{
    common::{client::Client, eventually, proxy::Proxy, throughout},
    lab::{Lab, pair},
};
use failback::model::{
    Side,
    view::{HealthName, PairStateName},
};
use std::time::Duration;

const QUICK: &str = "failback = { stable_for = \"100ms\" }\nhold = { time = \"60s\" }";

#[test]
fn a_proxy_whose_link_to_both_servers_is_silent_changes_no_side() {
    let lab = Lab::build();
    let _servers = lab.servers();
    let proxy = lab.proxy(&pair(QUICK));
    let established = established(&lab, &proxy);

    lab.filter("proxy", "chain in { type filter hook input priority 0; iifname \"back\" drop; }");
    lab.filter("proxy", "chain out { type filter hook output priority 0; oifname \"back\" drop; }");
    proxy.until_health("AGG_P", HealthName::Down);
    cut_off_then_healed(&lab, &proxy, established, || lab.heal("proxy"));
}

#[test]
fn a_proxy_whose_link_is_down_knows_that_it_is_its_own_trouble() {
    let lab = Lab::build();
    let _servers = lab.servers();
    let proxy = lab.proxy(&pair(QUICK));
    let established = established(&lab, &proxy);

    lab.run("proxy", "ip link set back down");
    cut_off_then_healed(&lab, &proxy, established, || {
        lab.run("proxy", "ip link set back up");
    });
    let failed = proxy.admin.metric("failback_health_checks_total", &[("upstream", "AGG_P"), ("result", "refused")]);
    assert_eq!(failed, 0.0, "a link that is down never counts against a server");
}

#[test]
fn a_cable_that_is_pulled_speaks_against_no_server_though_the_backup_answers() {
    let lab = Lab::build();
    let _primary = lab.server("AGG_P", "primary", "10.77.0.2:4100");
    // In the other network, whose cable stays in.
    let _backup = lab.server("AGG_B", "client", "10.77.1.9:4200");
    let quick = "health = { interval = \"200ms\", timeout = \"150ms\", fast_interval = \"100ms\" }";
    let proxy = lab.proxy(&pair(&format!("{QUICK}\n{quick}")).replace("10.77.0.3:4100", "10.77.1.9:4200"));
    let mut established = established(&lab, &proxy);
    let cable = |state: &str| lab.cable("proxy", "back", state);
    let warned = || proxy.admin.status().warnings.iter().any(|warning| warning.contains("the link back is down"));

    cable("down");
    eventually("the link is named", || warned().then_some(()));
    throughout(Duration::from_secs(3), "no change of side", || proxy.pair().active_side == Side::Primary);
    cable("up");
    eventually("the link is back", || (!warned()).then_some(()));
    assert_eq!(established.server(), "AGG_P");
    assert_eq!((proxy.pair().epoch.0, proxy.failovers()), (1, 0.0));

    // The same silence with the cable in is the server's.
    lab.silence("primary");
    proxy.settled_on(Side::Backup);
    assert_eq!(lab.client().server(), "AGG_B");
}

fn established(lab: &Lab, proxy: &Proxy) -> Client {
    proxy.until_admissible("AGG_B");
    let mut client = lab.client();
    assert_eq!(client.server(), "AGG_P");
    client
}

/// While the cut lasts nothing changes sides; when it ends, those who waited and those who stayed are served as before.
fn cut_off_then_healed(lab: &Lab, proxy: &Proxy, mut established: Client, heal: impl FnOnce()) {
    let mut waiting = lab.client();
    waiting.say("who").expect("the proxy's kernel takes it");
    throughout(Duration::from_secs(6), "no change of side, nobody is cut", || {
        let pair = proxy.pair();
        pair.active_side == Side::Primary && pair.epoch.0 == 1 && !waiting.ended() && !established.ended()
    });

    heal();

    assert_eq!(waiting.hear().expect("served"), "AGG_P:who");
    assert_eq!(established.server(), "AGG_P", "the session from before lived through it");
    let pair = proxy.settled_on(Side::Primary);
    assert_eq!((pair.epoch.0, pair.state), (1, PairStateName::OnPrimary));
    assert_eq!(proxy.failovers(), 0.0);
}
