//! The stage, the probes and the screen together, and how the story waits: it looks again and again whether what must
//! happen has happened, keeps the line at the bottom alive, and gives up after a while.

use super::{
    admin, ask,
    error::DemoError,
    fleet::{Count, Fleet, audit},
    protocol::Standing,
    screen::{BAD, DIM, GOOD, Screen, number},
    stage::{BACKUP, PRIMARY, Stage},
};
use crate::model::view::PairView;
use std::{net::SocketAddr, time::Duration};
use tokio::time::{Instant, sleep};

/// How long anything may take that must happen.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// Every so many looks the line at the bottom is drawn anew.
const DRAW: u32 = 5;
/// Every probe sends an event so often.
pub(super) const PACE: Duration = Duration::from_millis(40);
/// A resync takes so long, however little there is to copy.
const RESYNC_TIME: Duration = Duration::from_secs(4);
/// Sessions moved per second at a failback: all of them in about three seconds.
const MOVE_IN_SECONDS: u64 = 3;

/// All that is needed to tell the story.
#[derive(Debug)]
pub(super) struct Play {
    pub(super) stage: Stage,
    pub(super) fleet: Fleet,
    pub(super) screen: Screen,
    /// Sessions per second at a failback.
    pub(super) pace: u64,
    /// What the line at the bottom shows while something is awaited; `None`: the sessions.
    pub(super) line: Option<String>,
}

impl Play {
    /// Starts everything, and waits until the proxy accepts clients.
    ///
    /// # Errors
    /// Something does not start.
    pub(super) async fn start(probes: u64) -> Result<Self, DemoError> {
        let mut stage = Stage::build()?;
        let pace = probes.div_ceil(MOVE_IN_SECONDS);
        for name in [BACKUP, PRIMARY] {
            stage.start_server(name, RESYNC_TIME)?;
        }
        stage.start_proxy(u32::try_from(pace).unwrap_or(u32::MAX))?;
        // Nobody yet.
        let fleet = Fleet::start(1, 0, "", PACE);
        let mut play = Self { stage, fleet, screen: Screen::new(), pace, line: None };
        let (primary, backup) = (play.stage.primary, play.stage.backup);
        // An event that came before would leave the backup stale from the start.
        play.until("the servers know each other", async |_| Ok(is_whole(primary).await && is_whole(backup).await))
            .await?;
        play.until("the proxy listens", async |play| Ok(admin::is_ready(play.stage.admin).await)).await?;
        play.fleet = Fleet::start(1, probes, &play.stage.route.to_string(), PACE);
        Ok(play)
    }

    /// Starts a server that was killed.
    ///
    /// # Errors
    /// It does not start.
    pub(super) fn revive(&mut self, name: &'static str) -> Result<(), DemoError> {
        self.stage.start_server(name, RESYNC_TIME)
    }

    /// What the proxy says of the pair.
    ///
    /// # Errors
    /// It does not answer.
    pub(super) async fn pair(&self) -> Result<PairView, DemoError> {
        admin::pair(self.stage.admin).await
    }

    /// Where that server listens.
    pub(super) fn address(&self, server: &str) -> SocketAddr {
        if server == PRIMARY { self.stage.primary } else { self.stage.backup }
    }

    /// Waits until `done` says so.
    ///
    /// # Errors
    /// It takes too long, or something died that nobody killed.
    pub(super) async fn until(
        &mut self,
        wanted: &str,
        mut done: impl AsyncFnMut(&mut Self) -> Result<bool, DemoError>,
    ) -> Result<(), DemoError> {
        let deadline = Instant::now() + PATIENCE;
        let mut looks = 0_u32;
        loop {
            self.stage.watch()?;
            if done(self).await? {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(DemoError::InVain { wanted: wanted.to_owned(), seconds: PATIENCE.as_secs() });
            }
            if looks.is_multiple_of(DRAW) {
                let line = self.line.take().unwrap_or_else(|| self.sessions_line());
                self.screen.status(&line);
            }
            looks = looks.wrapping_add(1);
            sleep(LOOK).await;
        }
    }

    /// Lets time pass, so that there is something to see.
    ///
    /// # Errors
    /// As [`Play::until`].
    pub(super) async fn pass(&mut self, span: Duration) -> Result<(), DemoError> {
        let end = Instant::now() + span;
        self.until("time passes", async |_| Ok(Instant::now() >= end)).await
    }

    /// Waits until every probe talks to that server.
    ///
    /// # Errors
    /// As [`Play::until`].
    pub(super) async fn until_all_on(&mut self, server: &str) -> Result<(), DemoError> {
        let wanted = format!("every probe talks to {server}");
        self.until(&wanted, async |play| Ok(play.fleet.on(server) == play.fleet.size())).await
    }

    /// Lets no more events happen, waits until all that happened are acknowledged, and counts what that server holds.
    ///
    /// # Errors
    /// They are not acknowledged in time, or the server does not answer.
    pub(super) async fn settle_and_count(&mut self, server: &str) -> Result<(Count, ask::Dump), DemoError> {
        self.fleet.produce(false);
        self.until("every event is acknowledged", async |play| Ok(play.fleet.is_settled())).await?;
        let promises = self.fleet.promises();
        let held = self.dump(server).await?;
        Ok((audit(&promises, &held), held))
    }

    /// All that server holds.
    ///
    /// # Errors
    /// It does not answer.
    pub(super) async fn dump(&self, server: &str) -> Result<ask::Dump, DemoError> {
        ask::dump(self.address(server)).await.map_err(|error| DemoError::Io(server.to_owned(), error))
    }

    fn sessions_line(&self) -> String {
        let waiting = match self.fleet.waiting() {
            0 => String::new(),
            n => format!("   {n} waiting"),
        };
        let acknowledged = number(self.fleet.sum(|tally| tally.acknowledged));
        format!(
            "{}   {}{waiting}   {DIM}{acknowledged} events acknowledged{DIM:#}",
            self.server_word(PRIMARY),
            self.server_word(BACKUP)
        )
    }

    /// A server and its sessions, for the line at the bottom.
    pub(super) fn server_word(&self, name: &str) -> String {
        let sessions = self.fleet.on(name);
        if self.stage.runs(name) {
            format!("{GOOD}●{GOOD:#} {name} {sessions:>3} probes")
        } else {
            format!("{BAD}✗{BAD:#} {name} killed")
        }
    }
}

/// Does this server hold everything, as its peer does?
async fn is_whole(server: SocketAddr) -> bool {
    ask::status(server).await.is_ok_and(|status| status.standing == Standing::Whole)
}
