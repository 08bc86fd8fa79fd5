//! The story: what happens to a pair and its clients when the primary dies and comes back, told while it happens.

use super::{
    ask,
    error::DemoError,
    fleet::{Count, Fleet},
    plain,
    play::{PACE, Play},
    protocol::Standing,
    screen::{BAD, BOLD, CAREFUL, DIM, GOOD, bar, count, number, span},
    stage::{BACKUP, PAIR, PRIMARY},
};
use crate::model::view::PairStateName;
use std::time::Duration;
use tokio::time::Instant;

/// How long a scene lasts in which nothing changes.
const SCENE: Duration = Duration::from_secs(3);
/// The number of the client that a plain load balancer routes.
const WITNESS: u64 = 1_000_000;

/// What a plain load balancer did meanwhile.
struct Elsewhere {
    witness: Fleet,
    /// What the fleet had acknowledged when it would have been sent to the primary.
    acknowledged: u64,
}

/// Tells the story; its count at the end.
///
/// # Errors
/// Something that must happen does not.
pub(super) async fn tell(play: &mut Play) -> Result<Count, DemoError> {
    introduce(play);
    healthy(play).await?;
    primary_killed(play).await?;
    let elsewhere = back_but_stale(play).await?;
    resync(play, elsewhere).await?;
    failback(play).await?;
    the_count(play).await
}

fn introduce(play: &mut Play) {
    let (primary, backup, size) = (play.stage.primary, play.stage.backup, play.fleet.size());
    let before_fork = format!("    {size} probes ──▶ failback {} ─", play.stage.route);
    let indent = " ".repeat(before_fork.chars().count());
    for line in [
        String::new(),
        format!(" {BOLD}failback demo{BOLD:#}: {size} probes send numbered events to {PAIR}, a pair behind one proxy"),
        String::new(),
        format!("{before_fork}┬─▶ {GOOD}{PRIMARY}{GOOD:#} {primary}  primary"),
        format!("{indent}└─▶ {GOOD}{BACKUP}{GOOD:#} {backup}  backup"),
        String::new(),
        format!("    {DIM}Each server copies its events to the other, and acknowledges what both hold.{DIM:#}"),
    ] {
        play.screen.line(&line);
    }
}

async fn healthy(play: &mut Play) -> Result<(), DemoError> {
    play.until_all_on(PRIMARY).await?;
    play.until("the backup is ready to stand in", async |play| {
        let pair = play.pair().await?;
        let ready = pair.upstreams.iter().any(|it| &*it.name == BACKUP && it.admissible);
        Ok(ready && pair.state == PairStateName::OnPrimary)
    })
    .await?;
    play.screen.chapter(1, GOOD, "HEALTHY", "");
    let rate = play.fleet.size() * 1000 / u64::try_from(PACE.as_millis()).unwrap_or(u64::MAX);
    let sessions = count(play.fleet.size(), "session");
    play.screen.say(format_args!("{sessions} on {PRIMARY}, {} a second.", count(rate, "event")));
    play.pass(SCENE).await
}

async fn primary_killed(play: &mut Play) -> Result<(), DemoError> {
    let cut = play.fleet.on(PRIMARY);
    play.screen.chapter(2, BAD, "PRIMARY KILLED", "kill -9 AGG_P");
    let killed = Instant::now();
    play.stage.kill(PRIMARY)?;
    play.until_all_on(BACKUP).await?;
    let after = play.fleet.greeted_after(killed);
    let pair = play.pair().await?;
    play.screen.say(format_args!(
        "{BOLD}Failover{BOLD:#} to {}: {}; epoch {}.",
        pair.active_upstream,
        pair.reason.words(),
        pair.epoch
    ));
    let median = after.get(after.len() / 2).copied().unwrap_or_default();
    let last = after.last().copied().unwrap_or_default();
    play.screen.say(format_args!(
        "{} cut; served by {BACKUP} {GOOD}{}{GOOD:#} after the kill (median; last {}).",
        count(cut, "session"),
        span(median),
        span(last)
    ));
    play.pass(SCENE).await
}

async fn back_but_stale(play: &mut Play) -> Result<Elsewhere, DemoError> {
    play.screen.chapter(3, CAREFUL, "PRIMARY BACK, BUT STALE", "");
    play.revive(PRIMARY)?;
    let primary = play.stage.primary;
    play.until("the primary knows that it is stale", async |play| {
        let status = ask::status(primary).await;
        // Stale as it starts, but only the gateway knows it for sure.
        Ok(status.is_ok_and(|it| it.standing == Standing::Stale) && play.dump(PRIMARY).await?.rows > 0)
    })
    .await?;
    let lacks = play.dump(PRIMARY).await?.lacks(&play.dump(BACKUP).await?);
    play.screen.say(format_args!("{PRIMARY} answers again, but lacks {} that {BACKUP} took.", count(lacks, "event")));
    let checks = tokio::spawn(plain::two_good_checks(primary));
    play.until("two good checks of the primary", async |_| Ok(checks.is_finished())).await?;
    let elsewhere = Elsewhere {
        witness: Fleet::start(WITNESS, 1, &primary.to_string(), PACE),
        acknowledged: play.fleet.sum(|tally| tally.acknowledged),
    };
    play.screen.say(format_args!(
        "{CAREFUL}A plain load balancer{CAREFUL:#} saw two good checks and goes back. So does a witness."
    ));
    play.pass(SCENE).await?;
    let pair = play.pair().await?;
    let (staying, misrouted) = (play.fleet.on(BACKUP), play.fleet.sum(|tally| tally.misrouted));
    play.screen.say(format_args!(
        "{GOOD}failback{GOOD:#} keeps {} on {BACKUP}; sent to a stale server: {misrouted}.",
        count(staying, "session")
    ));
    for blocker in pair.blockers.iter().take(2) {
        play.screen.aside(&format!("why: {blocker}"));
    }
    Ok(elsewhere)
}

async fn resync(play: &mut Play, elsewhere: Elsewhere) -> Result<(), DemoError> {
    play.screen.chapter(4, CAREFUL, "RESYNC", "AGG_P deletes what it had; AGG_B fills it");
    // It falls silent first: an event of its own that came after the resync's end would stay, and be in nobody's count.
    elsewhere.witness.produce(false);
    play.until("the witness hears of its last event", async |_| Ok(elsewhere.witness.is_settled())).await?;
    let witnessed = elsewhere.witness.promises();
    drop(elsewhere.witness);
    let started = Instant::now();
    let primary = play.stage.primary;
    let asked = ask::resync(play.stage.backup).await.map_err(|error| DemoError::Io(BACKUP.into(), error))?;
    asked.map_err(|reason| DemoError::Server(format!("no resync: {reason}")))?;
    // As it was when the resync was last seen under way: what is acknowledged later would not be deleted.
    let mut acknowledged = elsewhere.acknowledged;
    play.until("the primary is whole again", async |play| {
        let status = ask::status(primary).await.map_err(|error| DemoError::Io(PRIMARY.into(), error))?;
        if status.standing == Standing::Resyncing {
            acknowledged = play.fleet.sum(|tally| tally.acknowledged);
            let (filled, total) = (status.filled, status.total);
            play.line = Some(format!("{} {} of {} events", bar(filled, total), number(filled), number(total)));
        }
        Ok(status.standing == Standing::Whole)
    })
    .await?;
    let held = play.dump(PRIMARY).await?;
    play.screen.say(format_args!(
        "{PRIMARY} is whole after {}: {}.",
        span(started.elapsed()),
        count(held.rows, "event")
    ));
    for (id, tally) in witnessed {
        let gone = tally.acknowledged - held.count(id, 1, tally.acknowledged);
        play.screen.say(format_args!(
            "The witness: of {} that {PRIMARY} acknowledged, {BAD}{} gone{BAD:#}.",
            count(tally.acknowledged, "event"),
            number(gone)
        ));
    }
    play.screen.say(format_args!(
        "A plain load balancer with all probes there would have lost {BAD}{}{BAD:#}.",
        count(acknowledged - elsewhere.acknowledged, "event")
    ));
    play.screen.say(format_args!("{PRIMARY} signals: {BOLD}POST /api/v1/pairs/{PAIR}/resync{BOLD:#}"));
    Ok(())
}

async fn failback(play: &mut Play) -> Result<(), DemoError> {
    play.until("the signal is accepted", async |play| Ok(play.pair().await?.state != PairStateName::OnBackup)).await?;
    let detail = format!("{} a second", count(play.pace, "session"));
    play.screen.chapter(5, GOOD, "FAILBACK, PACED", &detail);
    play.until("the pair returns", async |play| Ok(play.pair().await?.state != PairStateName::Resynced)).await?;
    let started = Instant::now();
    play.until("every probe talks to AGG_P", async |play| {
        let (moved, size) = (play.fleet.on(PRIMARY), play.fleet.size());
        play.line = Some(format!("{} {moved} of {size} sessions on {PRIMARY}", bar(moved, size)));
        Ok(moved == size)
    })
    .await?;
    let took = span(started.elapsed());
    play.until("the pair is on its primary", async |play| Ok(play.pair().await?.state == PairStateName::OnPrimary))
        .await?;
    let pair = play.pair().await?;
    play.screen.say(format_args!(
        "{} back on {PRIMARY} within {took}; epoch {}.",
        count(play.fleet.size(), "session"),
        pair.epoch
    ));
    play.pass(SCENE / 2).await
}

async fn the_count(play: &mut Play) -> Result<Count, DemoError> {
    let (counted, primary) = play.settle_and_count(PRIMARY).await?;
    let backup = play.dump(BACKUP).await?;
    play.screen.chapter(6, if counted.is_clean() { GOOD } else { BAD }, "THE COUNT", "");
    let Count { sent, stored, lost, duplicated } = counted;
    let style = |n: u64| if n == 0 { GOOD } else { BAD };
    let (a, b) = (style(lost), style(duplicated));
    play.screen.say(format_args!(
        "sent {BOLD}{}{BOLD:#}   stored {BOLD}{}{BOLD:#}   lost {a}{}{a:#}   duplicated {b}{}{b:#}",
        number(sent),
        number(stored),
        number(lost),
        number(duplicated)
    ));
    let resent = play.fleet.sum(|tally| tally.resent);
    play.screen.say(format_args!(
        "{DIM}Sent again after a reconnect, because no acknowledgement had come: {}.{DIM:#}",
        number(resent)
    ));
    let apart = primary.lacks(&backup) + backup.lacks(&primary);
    if apart > 0 {
        return Err(DemoError::Server(format!("{PRIMARY} and {BACKUP} differ in {}", count(apart, "event"))));
    }
    play.screen.say(format_args!("{DIM}Both servers hold the same {}.{DIM:#}", count(primary.rows, "event")));
    Ok(counted)
}
