//! `[pairs.NAME]`.

use super::{networks, tls};
use crate::config::{
    error::{Findings, Place},
    file::{CheckKind, Failback, Health, Hold, Keepalive, MigrateKind, Pair, Upstream},
    read::{Field, Found},
    values::{Bytes, Span, Wait},
    whole::Whole,
};
use crate::model::{
    HostPort, PairName, UpstreamName,
    proxy_protocol::HeaderVersion,
    spec::{
        Admission, Check, FailbackSpec, FailbackWhen, FlapSpec, HealthSpec, HoldSpec, Migrate, Overlap, PairSpec,
        SignalSource, TransportSpec, UpstreamSpec,
    },
};
use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

/// Each is checked all the time and named in every stored record; nobody has so many of the same data.
const MOST_BACKUPS: usize = 16;

/// `header`: what the routes to the pair send before anything else. `folder`: the file's.
pub(super) fn check(
    name: &str,
    raw: &Found<Pair>,
    header: Option<HeaderVersion>,
    folder: &Path,
    findings: &mut Findings,
) -> PairSpec {
    servers(raw, findings);
    let primary = raw.primary.here().and_then(upstream);
    let backups: Vec<_> = raw.backups.here().into_iter().flat_map(|list| list.iter()).filter_map(upstream).collect();
    let failback = failback(&raw.failback, findings);
    let flap = raw.flap.here();
    if let Some(elsewhere) = raw.elsewhere.here().filter(|_| failback.when == FailbackWhen::Poll) {
        let reason =
            "with failback.when = \"poll\" nobody would ever be sent back to `elsewhere`: that takes a resync signal";
        findings.add(&elsewhere.place, reason, "write `when = \"resync\"`");
    }
    PairSpec {
        name: PairName::from(name),
        elsewhere: raw.elsewhere.here().and_then(upstream),
        health: with_header(health(&raw.health, raw, failback.when, findings), header),
        failback,
        hold: hold(&raw.hold, usize::from(primary.is_some()) + backups.len()),
        flap: FlapSpec {
            failovers: flap.map_or(3, |flap| flap.failovers.or(Whole(3)).0),
            window: flap.map_or(Duration::from_secs(600), |flap| flap.window.or(Wait(Duration::from_secs(600))).0),
        },
        admission: raw.admission.or(Admission::Healthy),
        transport: transport(raw, findings),
        tls: raw.tls.here().and_then(|tls| tls::pair(name, tls, folder, findings)).map(Arc::new),
        primary,
        backups,
    }
}

/// Who must be there, and that no two are the same.
fn servers(raw: &Found<Pair>, findings: &mut Findings) {
    let no_backups = raw.backups.here().is_none_or(|list| list.is_empty()) && !matches!(raw.backups, Field::Bad);
    if let (Some(_), Some(elsewhere)) = (raw.primary.here(), raw.elsewhere.here()) {
        let reason = "`elsewhere` stands in the place of `primary`, and both are there";
        findings.add(
            &elsewhere.place,
            reason,
            "keep `primary` if this proxy serves it, `elsewhere` if another one does",
        );
    } else if raw.primary.is_absent() && raw.elsewhere.is_absent() {
        let reason = if no_backups { "the pair has no server" } else { "the pair has no primary" };
        let mend =
            "add `primary = { name = \"…\", address = \"host:port\" }`, or `elsewhere` if another proxy serves it";
        findings.add(&raw.place, reason, mend);
    } else if raw.primary.is_absent() && no_backups {
        let reason = "`elsewhere` is never dialled for clients, and there are no backups";
        findings.add(&raw.place, reason, "add `backups = [{ name = \"…\", address = \"host:port\" }]`");
    }
    if let Some(list) = raw.backups.here().filter(|list| list.len() > MOST_BACKUPS) {
        let reason = format!("the pair has {} backups", list.len());
        findings.add(&list.place, reason, format!("keep at most {MOST_BACKUPS}"));
    }
    let backups = raw.backups.here().into_iter().flat_map(|list| list.iter());
    let everybody = raw.primary.here().into_iter().chain(backups).chain(raw.elsewhere.here());
    let (mut names, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    for server in everybody {
        if let Some(name) = server.name.here()
            && !names.insert(&name.0)
        {
            findings.add(&name.place, format!("two servers of the pair are called `{}`", name.0), "rename one");
        }
        if let Some(address) = server.address.here()
            && !addresses.insert((address.host.to_lowercase(), address.port))
        {
            let reason = format!("two servers of the pair have the address {}", address.value);
            findings.add(
                &address.place,
                reason,
                "a backup on the primary's address protects from nothing: correct one",
            );
        }
    }
}

fn upstream(raw: &Found<Upstream>) -> Option<UpstreamSpec> {
    let address: HostPort = raw.address.here()?.value.clone();
    Some(UpstreamSpec { name: UpstreamName::from(&*raw.name.here()?.0), address })
}

fn health(raw: &Field<Health>, pair: &Found<Pair>, when: FailbackWhen, findings: &mut Findings) -> HealthSpec {
    let absent = Health::default();
    let health = raw.here().map_or(&absent, |found| &found.value);
    let place = raw.place_or(&pair.place);
    let interval = health.interval.or(Wait(Duration::from_secs(1))).0;
    let timeout = health.timeout.or(Wait(Duration::from_millis(800))).0;
    let fast_interval = health.fast_interval.or(Wait(interval.min(Duration::from_millis(200)))).0;
    let readable = !matches!((&health.interval, &health.timeout), (Field::Bad, _) | (_, Field::Bad));
    if when == FailbackWhen::Poll && timeout >= interval && readable {
        let reason = format!(
            "with failback.when = \"poll\" a check must end before the next one starts, and timeout ({}) is not less than interval ({})",
            humantime::format_duration(timeout),
            humantime::format_duration(interval)
        );
        let at = health.timeout.place_or(health.interval.place_or(place));
        findings.add(at, reason, "shorten timeout or lengthen interval");
    }
    if let Some(fast) = health.fast_interval.here()
        && fast_interval > interval
        && !matches!(health.interval, Field::Bad)
    {
        let reason = format!("fast_interval is longer than interval ({})", humantime::format_duration(interval));
        findings.add(&fast.place, reason, "shorten fast_interval");
    }
    HealthSpec {
        check: what_a_check_does(health, !pair.tls.is_absent(), place, findings),
        interval,
        timeout,
        fall: health.fall.or(Whole(3)).0,
        rise: health.rise.or(Whole(2)).0,
        fast_interval,
    }
}

/// A server that wants a header hears nobody out who sends none; that it accepts connections shows without one.
fn with_header(mut health: HealthSpec, sent: Option<HeaderVersion>) -> HealthSpec {
    if let Check::SendExpect { header, .. } | Check::Tls { header } = &mut health.check {
        *header = sent;
    }
    health
}

fn what_a_check_does(health: &Health, tls: bool, place: &Place, findings: &mut Findings) -> Check {
    let given = |field: &Field<Bytes>| !field.is_absent();
    let kind = health.check.or(match (given(&health.expect), tls) {
        (true, _) => CheckKind::Expect,
        (false, true) => CheckKind::Tls,
        (false, false) => CheckKind::Connect,
    });
    match kind {
        CheckKind::Connect | CheckKind::Tls => {
            if given(&health.send) || given(&health.expect) {
                let at = health.send.place_or(health.expect.place_or(place));
                let mend = "write `check = \"expect\"` and both `send` and `expect`, or neither";
                findings.add(at, "a check that only connects sends and expects nothing", mend);
            }
            if kind == CheckKind::Tls && !tls {
                let mend = "add `tls = { ca = \"…\" }` to the pair, or write `check = \"connect\"`";
                findings.add(health.check.place_or(place), "the pair has no `tls` that says whom to believe", mend);
            }
            if kind == CheckKind::Tls { Check::Tls { header: None } } else { Check::Connect }
        }
        CheckKind::Expect => {
            let expect = health.expect.or(Bytes::default()).0;
            if expect.is_empty() && !matches!(health.expect, Field::Bad) {
                let mend = "add what the answer must contain, as in `expect = \"+PONG\"`";
                findings.add(health.expect.place_or(place), "the check expects nothing", mend);
            }
            Check::SendExpect { send: health.send.or(Bytes::default()).0.into(), expect: expect.into(), header: None }
        }
    }
}

fn failback(raw: &Field<Failback>, findings: &mut Findings) -> FailbackSpec {
    let absent = Failback::default();
    let failback = raw.here().map_or(&absent, |found| &found.value);
    let when = failback.when.or(FailbackWhen::Resync);
    let migrate = migrate(failback, findings);
    let implied = if migrate == Migrate::Close { Overlap::None } else { Overlap::Allow };
    FailbackSpec {
        when,
        stable_for: failback.stable_for.or(Wait(Duration::from_secs(5))).0,
        overlap: failback.overlap.or(implied),
        pace: failback.pace.or(Whole(0)).0,
        migrate,
        exempt: networks(&failback.exempt, findings),
        source: source(failback, when, findings),
    }
}

fn migrate(failback: &Failback, findings: &mut Findings) -> Migrate {
    let Wait(deadline) = failback.drain_deadline.or(Wait(Duration::from_secs(300)));
    match failback.migrate.or(MigrateKind::Close) {
        MigrateKind::Drain => {
            if let Some(overlap) = failback.overlap.here().filter(|overlap| overlap.value == Overlap::None) {
                let reason =
                    "sessions that may end by themselves write to the old side while newcomers write to the new one";
                findings.add(&overlap.place, reason, "write `overlap = \"allow\"`, or `migrate = \"close\"`");
            }
            Migrate::Drain { deadline }
        }
        MigrateKind::Close => {
            if let Some(deadline) = failback.drain_deadline.here()
                && !matches!(failback.migrate, Field::Bad)
            {
                findings.add(&deadline.place, "nothing is drained", "add `migrate = \"drain\"`, or remove it");
            }
            Migrate::Close
        }
    }
}

fn source(failback: &Failback, when: FailbackWhen, findings: &mut Findings) -> Option<SignalSource> {
    let every = failback.resync_every.or(Wait(Duration::from_secs(2))).0;
    let timeout = failback.resync_timeout.or(Wait(Duration::from_secs(10))).0;
    let (http, command) = (failback.resync_http.here(), failback.resync_command.here());
    let places = [http.map(|found| &found.place), command.map(|found| &found.place)];
    for place in places.into_iter().flatten().filter(|_| when != FailbackWhen::Resync) {
        let mend = "remove it, or write `when = \"resync\"`";
        findings.add(place, "a resync signal is waited for only with when = \"resync\"", mend);
    }
    if let [Some(_), Some(place)] = places {
        findings.add(place, "resync_http and resync_command are both there", "keep the one that knows best");
    }
    no_idle_key(failback, findings);
    match (http, command) {
        (Some(http), _) => {
            let url = http.url.here()?;
            let expect = http.expect.or(String::new());
            Some(SignalSource::Http { authority: url.authority.clone(), path: url.path.clone(), expect, every })
        }
        (None, Some(command)) => {
            if command.first().is_none_or(|program| program.is_empty()) {
                let mend = "write it as in [\"/usr/local/bin/is-resynced\", \"AGG_P\"]";
                findings.add(&command.place, "the program is missing", mend);
            }
            for argument in command.iter().filter(|argument| argument.contains('\0')) {
                findings.add(&argument.place, "no program can be given a zero byte", "leave the \\u0000 out");
            }
            let argv = command.iter().map(|argument| argument.value.clone()).collect();
            Some(SignalSource::Command { argv, every, timeout })
        }
        (None, None) => None,
    }
}

/// `resync_every` and `resync_timeout` without what they belong to.
fn no_idle_key(failback: &Failback, findings: &mut Findings) {
    let no_command = failback.resync_command.is_absent();
    if let Some(timeout) = failback.resync_timeout.here().filter(|_| no_command) {
        findings.add(&timeout.place, "there is no resync_command", "add one, or remove it");
    }
    if let Some(every) = failback.resync_every.here().filter(|_| no_command && failback.resync_http.is_absent()) {
        findings.add(&every.place, "there is neither resync_http nor resync_command", "add one, or remove it");
    }
}

/// A pair of one server refuses by default (`N1`): its clients have a second address of their own and should go there.
fn hold(raw: &Field<Hold>, servers: usize) -> HoldSpec {
    let absent = Hold::default();
    let hold = raw.here().map_or(&absent, |found| &found.value);
    let default = Duration::from_secs(if servers > 1 { 10 } else { 0 });
    HoldSpec { time: hold.time.or(Span(default)).0, max: hold.max.or(Whole(10_000)).0 }
}

/// What the kernel takes: `TCP_KEEPIDLE` and `TCP_KEEPINTVL` are whole seconds up to 32767.
const LONGEST_KEEPALIVE: Duration = Duration::from_secs(32_767);

fn transport(raw: &Pair, findings: &mut Findings) -> TransportSpec {
    let default = TransportSpec::default();
    let absent = Keepalive::default();
    let keepalive = raw.keepalive.here().map_or(&absent, |found| &found.value);
    for span in [&keepalive.idle, &keepalive.interval].into_iter().filter_map(Field::here) {
        if span.0.subsec_nanos() != 0 || span.0 > LONGEST_KEEPALIVE {
            let reason = "the kernel takes whole seconds between 1s and 32767s here";
            findings.add(&span.place, reason, "write whole seconds, as in \"30s\"");
        }
    }
    TransportSpec {
        connect_timeout: raw.connect_timeout.or(Wait(default.connect_timeout)).0,
        keepalive_idle: keepalive.idle.or(Wait(default.keepalive_idle)).0,
        keepalive_interval: keepalive.interval.or(Wait(default.keepalive_interval)).0,
        keepalive_count: keepalive.count.or(Whole(default.keepalive_count)).0,
        user_timeout: raw.user_timeout.or(Wait(default.user_timeout)).0,
    }
}
