//! After the story: the operator's turn. Keys kill, revive and resynchronise; the proxy does the rest.

use super::{
    ask,
    error::DemoError,
    fleet::{Count, audit},
    play::Play,
    protocol::Standing,
    screen::{BAD, BOLD, CAREFUL, DIM, GOOD, number},
    stage::{BACKUP, PAIR, PRIMARY},
};
use crate::model::{Epoch, view::PairStateName};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::{
    io::{self, IsTerminal, Read},
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, timeout_at},
};

/// Between two looks at everything.
const LOOK: Duration = Duration::from_millis(200);
/// Every so many looks the events are counted.
const COUNT: u32 = 5;
/// How long the end waits for the last events to be acknowledged; without a server they never are.
const LAST_EVENTS: Duration = Duration::from_secs(5);

/// The terminal gives each key at once and does not print it, as long as this lives. Ctrl-C stays what it is.
#[derive(Debug)]
pub(super) struct Keyboard {
    before: Termios,
}

impl Keyboard {
    /// Takes the terminal on standard input; `None` if there is none.
    pub(super) fn take() -> Option<Self> {
        let stdin = io::stdin();
        if !stdin.is_terminal() || !io::stdout().is_terminal() {
            return None;
        }
        let before = tcgetattr(&stdin).ok()?;
        let mut now = before.clone();
        now.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Now, &now).ok()?;
        Some(Self { before })
    }

    /// The keys, as they are pressed.
    fn keys() -> mpsc::Receiver<u8> {
        let (sender, keys) = mpsc::channel(16);
        // It waits in a read until the process ends.
        std::thread::spawn(move || {
            let mut key = [0];
            while matches!(io::stdin().lock().read(&mut key), Ok(1)) {
                if sender.blocking_send(key[0]).is_err() {
                    return;
                }
            }
        });
        keys
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        let _terminal_is_gone = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// Obeys the keys until `q`; the count at the end.
///
/// # Errors
/// A program ended that nobody killed, or does not answer.
pub(super) async fn obey(play: &mut Play, _terminal: &Keyboard) -> Result<Count, DemoError> {
    play.fleet.produce(true);
    let mut keys = Keyboard::keys();
    play.screen.line(&"");
    let key = |key: &str, does: &str| format!("{BOLD}{key}{BOLD:#} {does}");
    let keys_line = [
        key("k", "kill the one in use"),
        key("r", "revive a dead one"),
        key("s", "resync the stale one"),
        key("q", "quit"),
    ];
    play.screen.line(&format_args!(" {BOLD}YOUR TURN{BOLD:#}  in another terminal:"));
    play.screen.say(format_args!("{DIM}export FAILBACK_ADMIN=http://{}{DIM:#}", play.stage.admin));
    play.screen.say(format_args!("{DIM}{} why {PAIR}{DIM:#}, or status -w, top, events -f", called()));
    play.screen.say(keys_line.join("  "));
    let mut hand = Hand { seen: None, active: PRIMARY, count: Count::default() };
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut number_of_looks = 0_u32;
    loop {
        tokio::select! {
            key = keys.recv() => match key {
                Some(b'k') => hand.kill(play).await?,
                Some(b'r') => hand.revive(play)?,
                Some(b's') => hand.resync(play).await,
                Some(b'q') | None => break,
                Some(_) => {}
            },
            _ = looks.tick() => {
                play.stage.watch()?;
                hand.look(play).await?;
                if number_of_looks.is_multiple_of(COUNT) {
                    hand.count(play).await;
                }
                number_of_looks = number_of_looks.wrapping_add(1);
                hand.draw(play).await;
            }
        }
    }
    hand.finish(play).await
}

/// How this program was called, so that what is shown can be typed where it isn't installed, too.
fn called() -> String {
    std::env::args().next().filter(|name| !name.is_empty()).unwrap_or_else(|| "failback".into())
}

/// The operator's view of things.
struct Hand {
    seen: Option<(PairStateName, Epoch)>,
    active: &'static str,
    count: Count,
}

impl Hand {
    /// Asks the proxy, and tells what changed.
    async fn look(&mut self, play: &mut Play) -> Result<(), DemoError> {
        let pair = play.pair().await?;
        self.active = if &*pair.active_upstream == BACKUP { BACKUP } else { PRIMARY };
        let now = (pair.state, pair.epoch);
        if self.seen.replace(now).is_some_and(|before| before != now) {
            let style = match pair.state {
                PairStateName::OnPrimary => GOOD,
                PairStateName::NoServer => BAD,
                _ => CAREFUL,
            };
            let (state, epoch) = (pair.state.as_str(), format!("epoch {}", pair.epoch));
            let room = state.len() + epoch.len() + 4;
            let head = format!("{style}{state}{style:#}  {DIM}{epoch}{DIM:#}  ");
            play.screen.hang(&head, room, pair.reason.words());
        }
        Ok(())
    }

    /// Compares what was acknowledged so far with what the server in use holds.
    async fn count(&mut self, play: &Play) {
        let promises = play.fleet.promises();
        if let Ok(held) = play.dump(self.active).await {
            self.count = audit(&promises, &held);
        }
    }

    async fn draw(&self, play: &mut Play) {
        let mut line = String::new();
        for name in [PRIMARY, BACKUP] {
            let standing = match ask::status(play.address(name)).await {
                Ok(status) if status.standing == Standing::Resyncing => {
                    format!(" {CAREFUL}{} %{CAREFUL:#}", status.filled * 100 / status.total.max(1))
                }
                Ok(status) if status.standing == Standing::Stale => format!(" {CAREFUL}stale{CAREFUL:#}"),
                _ => String::new(),
            };
            line.push_str(&format!("{}{standing}  ", play.server_word(name)));
        }
        if play.fleet.waiting() > 0 {
            line.push_str(&format!("waiting {}  ", play.fleet.waiting()));
        }
        let lost = if self.count.lost == 0 { GOOD } else { BAD };
        line.push_str(&format!("lost {lost}{}{lost:#}  stored {}", number(self.count.lost), number(self.count.stored)));
        play.screen.status(&line);
    }

    async fn kill(&self, play: &mut Play) -> Result<(), DemoError> {
        let other = if self.active == PRIMARY { BACKUP } else { PRIMARY };
        let stale = ask::status(play.address(other)).await.is_ok_and(|it| it.standing.is_stale());
        if self.active == PRIMARY && stale {
            play.screen.say(format_args!("{CAREFUL}{BACKUP} is stale{CAREFUL:#}: resynchronise it first (s)."));
        } else if play.stage.runs(self.active) {
            play.screen.say(format_args!("{BAD}kill -9 {}{BAD:#}", self.active));
            play.stage.kill(self.active)?;
        } else {
            play.screen.say(format_args!("{} is dead already; revive it (r).", self.active));
        }
        Ok(())
    }

    fn revive(&self, play: &mut Play) -> Result<(), DemoError> {
        match [PRIMARY, BACKUP].into_iter().find(|name| !play.stage.runs(name)) {
            Some(name) => {
                play.screen.say(format_args!("{name} starts, with what it had when it was killed."));
                play.revive(name)
            }
            None => {
                play.screen.say("Both servers run.");
                Ok(())
            }
        }
    }

    async fn resync(&self, play: &mut Play) {
        let words = match ask::resync(play.address(self.active)).await {
            Ok(Ok(())) => "The resync begins.".to_owned(),
            Ok(Err(reason)) => format!("No resync: {reason}."),
            Err(error) => format!("No resync: {} does not answer ({error}).", self.active),
        };
        play.screen.say(words);
    }

    /// The last count. What no server acknowledged is not lost: its probe still has it.
    async fn finish(mut self, play: &mut Play) -> Result<Count, DemoError> {
        play.fleet.produce(false);
        let end = Instant::now() + LAST_EVENTS;
        let settled = play.until("the last events are acknowledged", async |play| Ok(play.fleet.is_settled()));
        let _or_not = timeout_at(end, settled).await;
        self.count(play).await;
        play.screen.say(format_args!(
            "sent {}   stored {}   lost {}   duplicated {}",
            number(self.count.sent),
            number(self.count.stored),
            number(self.count.lost),
            number(self.count.duplicated)
        ));
        Ok(self.count)
    }
}
