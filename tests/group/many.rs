//! One backup node for two primary nodes, each with a seat and an address of its own (n+1):
//!
//! ```text
//!   A  10.77.0.10  AGG_V ──┐
//!                          ├── B
//!   C  10.77.0.30  C_V ────┘        A and C know nothing of each other
//! ```

use crate::{
    common::{eventually, server::Server, within},
    fleet::Fleet,
    node::{Node, Wishes},
    rig::{Rig, answer_at},
    unfit::{certificate, says},
};
use failback::model::{
    group::{NodeStateName, Role},
    view::group::SyncResult,
};
use std::{fs, time::Duration};

const OTHER: &str = "10.77.0.30";

/// Both joined with `B` and copied to it.
struct Many {
    rig: Rig,
    c: Node,
    _servers: [Server; 2],
}

fn wishes_of_c() -> Wishes {
    Wishes { shared: OTHER, ..Wishes::default() }
}

/// The tables of `C`'s seat with its one pair of this name, and its route.
fn seat_of_c(pair: &str, route: &str) -> String {
    format!(
        "[pairs.{pair}]\nprimary = {{ name = \"C_P\", address = \"10.77.0.2:4200\" }}\n\
         backups = [{{ name = \"C_B\", address = \"10.77.0.3:4200\" }}]\nfailback = {{ stable_for = \"100ms\" }}\n\
         [routes.{route}]\nlisten = [\"{OTHER}:4100\"]\npair = \"{pair}\"\n"
    )
}

fn servers(rig: &Rig) -> [Server; 2] {
    [rig.lab.server("C_P", "primary", "10.77.0.2:4200"), rig.lab.server("C_B", "backup", "10.77.0.3:4200")]
}

impl Many {
    #[track_caller]
    fn joined() -> Self {
        Self::joined_with("")
    }

    /// The same with more in `C`'s seat.
    #[track_caller]
    fn joined_with(more: &str) -> Self {
        let rig = Rig::joined();
        let servers = servers(&rig);
        let seat = format!("{}{more}", seat_of_c("C_V", "others"));
        let c = rig.third_with("primary", &seat, &wishes_of_c());
        c.until_serves(&c);
        c.order(&["group", "join", &rig.b.peer(), "--reverse", &c.peer()]);
        let many = Self { rig, c, _servers: servers };
        many.copied();
        many
    }

    /// Waits until `B` could take over from both.
    #[track_caller]
    fn copied(&self) {
        eventually("B has a copy of both seats", || {
            let copied = |of: &Node| {
                let (here, there) = (self.rig.b.seat(of)?, of.seat(of)?);
                let done = here.last_sync.as_ref().is_some_and(|sync| sync.result == SyncResult::Done);
                (done && here.revision == there.revision).then_some(())
            };
            copied(&self.rig.a).and_then(|()| copied(&self.c))
        });
        eventually("B knows the servers of both", || {
            let pairs = self.rig.b.proxy.admin.status().pairs;
            let known = |pair: &str| {
                let pair = self.rig.b.proxy.admin.pair(pair);
                pair.upstreams.iter().all(|upstream| upstream.admissible)
            };
            (pairs.len() == 2 && known("AGG_V") && known("C_V")).then_some(())
        });
    }

    /// Waits until clients reach both pairs' primaries, each at its own address.
    #[track_caller]
    fn both_reached(&self) {
        self.rig.until_reached("AGG_P");
        let route = wishes_of_c().route();
        let served = || self.rig.lab.on("client", || answer_at(route));
        eventually("clients reach C_P", || (served().as_deref() == Some("C_P")).then_some(()));
    }
}

#[test]
fn g2_one_backup_of_two_primaries_serves_both_and_gives_each_back_by_itself() {
    let mut many = Many::joined();
    many.both_reached();
    shown_on_all_pages(&many);
    let others = Fleet::start_at(&many.rig.lab, wishes_of_c().route());

    // One dies: its seat is taken over, the other goes on.
    many.rig.kill_a();
    many.rig.b.until_serves(&many.rig.a);
    many.both_reached();
    assert!(many.c.seat(&many.c).is_some_and(|seat| seat.here && !seat.degraded));
    shows_addresses(&many.rig.b, &["10.77.0.10/24"]);
    let undisturbed = others.stop();
    assert_eq!(undisturbed.turns(), ["C_P"]);
    assert!(undisturbed.gap() < Duration::from_secs(1), "clients of C had to wait for {:?}", undisturbed.gap());

    // The other dies, too.
    many.c.proxy.kill();
    many.rig.b.until_serves(&many.c);
    many.both_reached();
    assert!(many.rig.b.has(&many.rig.lab, "10.77.0.10") && many.rig.b.has(&many.rig.lab, OTHER));
    let status = many.rig.b.order(&["status"]);
    assert_eq!(status.matches("here, degraded").count(), 2, "{status}");
    let row = many.rig.b.row(&many.rig.b).expect("a row");
    assert_eq!((row.role, row.state), (Role::Backup, NodeStateName::Online));
    shows_addresses(&many.rig.b, &["10.77.0.10/24", "10.77.0.30/24"]);

    // One is given back; the other stays.
    many.rig.a_returns();
    let others = Fleet::start_at(&many.rig.lab, wishes_of_c().route());
    many.rig.b.order(&["reverse", "A"]);
    many.rig.a.until_serves(&many.rig.a);
    many.both_reached();
    let undisturbed = others.stop();
    assert_eq!(undisturbed.turns(), ["C_P"]);
    assert!(undisturbed.gap() < Duration::from_secs(1), "clients of C had to wait for {:?}", undisturbed.gap());
    let seat = many.rig.b.seat(&many.c).expect("the seat");
    assert!(seat.here && seat.degraded);

    // And it stands by for the one although it serves the other.
    many.rig.synced(&many.rig.b);
    many.rig.kill_a();
    many.rig.b.until_serves(&many.rig.a);
    many.both_reached();
}

/// The addresses come last, and are shown once they are there.
#[track_caller]
fn shows_addresses(node: &Node, addresses: &[&str]) {
    let shown = || node.row(node).map(|row| row.shared_addresses);
    eventually("it shows its addresses", || (shown()? == addresses).then_some(()));
}

/// Each page shows the seats and members that its node has to do with, and nothing that needs somebody.
#[track_caller]
fn shown_on_all_pages(many: &Many) {
    let Many { rig, c, .. } = many;
    for node in [&rig.a, &rig.b, c] {
        let status = node.order(&["status"]);
        assert!(!status.contains("nobody known"), "{}: {status}", node.name);
        let b = node.row(&rig.b).expect("a row");
        assert_eq!((b.role, b.state), (Role::Backup, NodeStateName::Standby), "as {} sees it", node.name);
    }
    let names = |node: &Node| node.group().seats.iter().map(|seat| seat.seat.to_string()).collect::<Vec<_>>();
    assert_eq!(
        (names(&rig.a), names(&rig.b), names(c)),
        (vec!["A".into()], vec!["A".into(), "C".into()], vec!["C".into()])
    );
    assert_eq!(rig.b.group().nodes.len(), 3);
}

#[test]
fn g2_g3_a_backup_that_serves_one_seat_takes_another_by_hand_only_if_forced() {
    let mut many = Many::joined();
    many.rig.kill_a();
    many.rig.b.until_serves(&many.rig.a);

    let refused = many.rig.b.refuses(&["takeover", "C"]);
    assert!(refused.contains("does not stand by") && refused.contains("--force"), "{refused}");
    many.rig.b.order(&["takeover", "C", "--force"]);

    many.both_reached();
    assert!(many.rig.b.until_serves(&many.c).degraded);
    assert_eq!(many.c.group().state, NodeStateName::Offline);
    many.rig.b.order(&["reverse", "C"]);
    many.c.until_serves(&many.c);
    many.both_reached();
    many.rig.b.until_serves(&many.rig.a);
}

/// On the backup they could not be told apart. The first one who can say so says so.
#[test]
fn g2_names_that_two_seats_have_are_refused_with_both_seats() {
    let rig = Rig::joined();
    let _servers = servers(&rig);
    let c = rig.third_with("primary", &seat_of_c("AGG_V", "others"), &wishes_of_c());
    c.until_serves(&c);
    let join = ["group", "join", &rig.b.peer(), "--reverse", &c.peer()].map(str::to_owned);
    let join: Vec<&str> = join.iter().map(String::as_str).collect();

    let said = c.refuses(&join);

    let last = rig.b.row(&rig.b).and_then(|row| row.last_sync).map(|sync| (sync.result, sync.from.to_string()));
    assert_eq!(last, Some((SyncResult::Done, "A".into())), "what was not joined left no trace");
    assert!(said.contains("pair `AGG_V`") && said.contains("seat A") && said.contains("another name"), "{said}");
    assert_eq!((c.group().nodes.len(), rig.b.group().nodes.len()), (1, 2), "nobody was joined");

    // Nor are they where one would listen on what the other has.
    let mine = format!("\"{OTHER}:4100\"");
    let both = seat_of_c("C_V", "others").replace(&mine, &format!("{mine}, \"{}\"", rig.route));
    c.configure("primary", &both, &wishes_of_c());
    c.order(&["reload"]);
    let said = c.refuses(&join);
    assert!(said.contains("10.77.0.10:4100") && said.contains("routes.others.listen"), "{said}");
    assert!(!said.contains("failback.toml"), "it stands in no file: {said}");

    // Named apart, they are joined.
    c.configure("primary", &seat_of_c("C_V", "others"), &wishes_of_c());
    c.order(&["reload"]);
    c.order(&join);
    let pulled = || c.seat(&c).and_then(|seat| seat.pulled_by.into_iter().find(|pull| &*pull.node == "B"));
    eventually("B has it all", || pulled().filter(|pull| pull.synchronized));

    // A name that comes later is refused by the backup, and both pages say so.
    let more = format!("{}[routes.probes]\nlisten = [\"{OTHER}:4300\"]\npair = \"C_V\"\n", seat_of_c("C_V", "others"));
    c.configure("primary", &more, &wishes_of_c());
    c.order(&["reload"]);
    let why = "route `probes` is in seat A and in seat C: give one of them another name";
    within(Duration::from_secs(10), "B says so", || {
        let sync = rig.b.seat(&c)?.last_sync?;
        (sync.result == SyncResult::Failed && sync.error?.contains(why)).then_some(())
    });
    eventually("C says so", || pulled().filter(|pull| !pull.synchronized));
    let status = eventually("C says why", || Some(c.order(&["status"])).filter(|status| status.contains(why)));
    assert!(status.contains('B'), "{status}");
    rig.until_reached("AGG_P");
}

#[test]
fn g10_one_seat_that_cannot_be_run_keeps_the_backup_from_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let (cert, key) = (folder.path().join("c.pem"), folder.path().join("c.key"));
    certificate(&cert, &key);
    let secure = format!(
        "[routes.secure]\nlisten = [\"{OTHER}:4443\"]\npair = \"C_V\"\ntls = {{ cert = {cert:?}, key = {key:?} }}\n"
    );
    let Many { mut rig, c, _servers } = Many::joined_with(&secure);
    rig.b.proxy.kill();
    let aside = folder.path().join("aside");
    fs::rename(&key, &aside).expect("a file can be renamed");
    rig.b.launch();
    says(&rig.b, &["B could not take over seat C", "what was copied can't be run here", "c.key"]);
    let unfit = |seat: &str| {
        let unfit = format!("could not take over seat {seat}");
        rig.b.group().warnings.iter().any(|line| line.contains(&unfit))
    };
    assert!(!unfit("A"));
    eventually("it watches the other's pair", || {
        let pairs = rig.b.proxy.admin.status().pairs;
        (pairs.len() == 1 && pairs[0].upstreams.iter().all(|upstream| upstream.admissible)).then_some(())
    });
    fs::rename(&aside, &key).expect("a file can be renamed");
    eventually("it watches both", || (rig.b.proxy.admin.status().pairs.len() == 2 && !unfit("C")).then_some(()));
    fs::rename(&key, &aside).expect("a file can be renamed");
    rig.kill_a();
    rig.b.until_serves(&rig.a);
    rig.until_reached("AGG_P");
    assert!(c.seat(&c).is_some_and(|seat| seat.here));
}
