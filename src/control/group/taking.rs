//! What comes from who holds a seat, taken: whole copies, and the pairs' states by themselves.

use super::{
    Done,
    arrange::{Arranger, How},
    pulls::GivenUpRecord,
    words,
};
use crate::{
    control::{
        seats::SeatOrder,
        sync::{Copy, Declined, NotApplied, Update, others_words},
    },
    decide::effect::PairRecord,
    model::{NodeName, PairName, causes::chain},
};

impl Arranger {
    /// Takes a copy that was pulled, if it could be served here; its revision, as a number and as it is shown. Where its settings can't be, its
    /// pairs' states are taken nevertheless: a takeover must not begin on a server that the pair has left.
    pub(super) async fn take(&self, copy: Copy, given_up: Vec<GivenUpRecord>) -> Result<(u64, String), String> {
        let _turn = self.turn.lock().await;
        if self.open_seats().contains(&copy.seat) {
            return Err("this node holds the seat itself".into());
        }
        let known = self.known().get(&copy.seat).cloned();
        copy.follows(known.as_ref()).map_err(|error| chain(&error))?;
        if known.as_ref().is_some_and(|known| copy.is_older_than(known)) {
            return Err("the copy is older than what is known here".into());
        }
        let same = known.as_ref().is_some_and(|known| known.settings == copy.settings);
        let whole = if same { Ok(()) } else { self.arrange_now(vec![copy.clone()], None, How::Taken).await.map(drop) };
        if let Err(error) = whole {
            self.take_states(&copy, &given_up).await;
            return Err(format!("it can't be served on {}: {}", self.me, others_words(&error.to_string())));
        }
        let aside = known.filter(|known| !copy.lineage.descends_from(&known.lineage));
        let (this, taken) = (self.clone(), copy.clone());
        let written = tokio::task::spawn_blocking(move || this.store().take(taken)).await;
        match written.map_err(|_| "the node is stopping")? {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(chain(&error)),
            Err(error) => return Err(chain(&error)),
        }
        if let Some(known) = aside {
            let story = words::set_aside(&self.state_dir, &known, &copy);
            self.event(story.kind, story.grave, story.message).await;
        }
        self.say_given_up(&given_up).await;
        if same {
            self.show_records(&copy.seat, copy.pairs.clone().into_iter().collect()).await;
        }
        let name = copy.lineage.head().map(ToString::to_string).unwrap_or_default();
        Ok((copy.revision_number(), name))
    }

    /// The states of those of its pairs that are known here.
    async fn take_states(&self, copy: &Copy, given_up: &[GivenUpRecord]) {
        let (this, taken) = (self.clone(), copy.clone());
        let written = tokio::task::spawn_blocking(move || this.store().take_states(&taken)).await;
        match written {
            Ok(Ok(news)) if !news.is_empty() => {
                self.say_given_up(given_up).await;
                self.show_records(&copy.seat, news).await;
            }
            Ok(Err(error)) => tracing::error!(seat = %copy.seat, error = %chain(&error), "states can't be stored"),
            _ => {}
        }
    }

    async fn say_given_up(&self, given_up: &[GivenUpRecord]) {
        for (pair, old, new) in given_up {
            let story = words::given_up(&self.me, pair, old, new);
            self.event(story.kind, story.grave, story.message.clone()).await;
            let alert = Box::new(words::given_up_alert(pair, &story));
            let _stopping = self.driver.send(SeatOrder::Alert(alert)).await;
        }
    }

    /// Takes records that were pushed.
    pub(super) async fn apply(&self, update: Update, serving: bool) -> (Done, Result<(), Declined>) {
        if serving {
            return (Done::Nothing, Err(Declined::NotApplied(NotApplied::Superseded)));
        }
        let (this, copied) = (self.clone(), update.clone());
        let applied = tokio::task::spawn_blocking(move || this.store().apply(&copied)).await;
        match applied {
            Ok(Ok(Ok(new))) => {
                if new {
                    self.show_records(&update.seat, update.records).await;
                }
                let number = self.known().get(&update.seat).map_or(0, Copy::revision_number);
                (Done::Taken(update.seat, number), Ok(()))
            }
            Ok(Ok(Err(why))) => (Done::Behind(update.seat), Err(Declined::NotApplied(why))),
            Ok(Err(error)) => (Done::Nothing, Err(Declined::NotStored(chain(&error)))),
            Err(_) => (Done::Nothing, Err(Declined::NotStored("the node is stopping".into()))),
        }
    }

    async fn show_records(&self, seat: &NodeName, records: Vec<(PairName, PairRecord)>) {
        let _stopping = self.driver.send(SeatOrder::Records(seat.clone(), records)).await;
    }
}
