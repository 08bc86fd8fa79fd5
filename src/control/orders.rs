//! How the admin API (and signals) talk to the driver: a bounded inbox, an answer each.

use crate::{
    decide::seat::input::Order as SeatOrder,
    model::{
        Epoch, HostPort, NodeName, PairName, Side,
        view::{AlertsTestAnswer, OrderAnswer, PairView, ReloadAnswer, ResyncAnswer, StatusView, group::GroupView},
    },
};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// One request to the driver.
#[derive(Debug)]
pub enum Request {
    /// The whole node at a glance.
    Status(Reply<StatusView>),
    /// One pair.
    Pair(PairName, Reply<PairView>),
    /// A resync signal. Answered once it is validated.
    Resync {
        /// The pair.
        pair: PairName,
        /// The side that was resynchronised.
        of: Side,
        /// If given, must be the pair's epoch.
        epoch: Option<Epoch>,
        /// Who sent it, for the audit trail (`token monitoring`, `unix socket`, `loopback`).
        by: String,
        /// The verdict.
        reply: Reply<ResyncAnswer>,
    },
    /// An operator's order.
    Order {
        /// The pair.
        pair: PairName,
        /// The order.
        order: crate::decide::input::Order,
        /// Who gave it.
        by: String,
        /// What became of it.
        reply: Reply<OrderAnswer>,
    },
    /// Send a test alert to everybody who is told of alerts. Answered when all of them have answered.
    TestAlerts {
        /// Who wants it.
        by: String,
        /// What each of them said.
        reply: Reply<AlertsTestAnswer>,
    },
    /// Read the configuration file again and apply the difference.
    Reload {
        /// Apply even if upstreams' addresses were swapped under their names.
        force: bool,
        /// Who wants it.
        by: String,
        /// What changed.
        reply: Reply<ReloadAnswer>,
    },
}

/// Where an answer goes.
pub type Reply<T> = oneshot::Sender<Result<T, OrderError>>;

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// No pair of that name; the names there are follow.
    #[error("there is no pair `{pair}`; the pairs are: {known}")]
    NoSuchPair {
        /// The name asked for.
        pair: PairName,
        /// The names there are, comma-separated.
        known: String,
    },
    /// No seat or node of that name; in words, with those there are.
    #[error("{0}")]
    NotInGroup(String),
    /// Refused by the pair's or the node's machine, with the mend.
    #[error("{0}")]
    Refused(String),
    /// The new configuration is not acceptable; every error found, a line each.
    #[error("{0}")]
    BadConfig(String),
    /// The driver's inbox is full.
    #[error("too many requests are waiting; try again")]
    Busy,
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
}

/// One request about the group.
#[derive(Debug)]
pub struct GroupRequest {
    /// What is wanted.
    pub order: GroupOrder,
    /// Who wants it, for the audit trail.
    pub by: String,
    /// What became of it.
    pub reply: Reply<OrderAnswer>,
}

/// What can be asked of a node about its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupOrder {
    /// Make the node at `forward` a backup of this one, which it reaches at `reverse` (`B1`).
    Join {
        /// The other node's `peer_listen`, as reached from here.
        forward: HostPort,
        /// This node's, as reached from there.
        reverse: HostPort,
    },
    /// Pull every seat from its holder now; with a node: let that node do it (`B3`).
    Sync(Option<NodeName>),
    /// Part from that node; from all, if it is this one.
    Part(NodeName),
    /// What the node's machine decides: takeover, reverse, replace, roles, resolve, leave.
    Seat(SeatOrder),
}

/// The API's way to the group.
#[derive(Debug, Clone)]
pub struct GroupOrders {
    requests: mpsc::Sender<GroupRequest>,
    view: watch::Receiver<Arc<GroupView>>,
}

impl GroupOrders {
    /// Requests go to `requests`; what is shown comes from `view`.
    #[must_use]
    pub fn new(requests: mpsc::Sender<GroupRequest>, view: watch::Receiver<Arc<GroupView>>) -> Self {
        Self { requests, view }
    }

    /// The group as it is now.
    #[must_use]
    pub fn view(&self) -> Arc<GroupView> {
        Arc::clone(&self.view.borrow())
    }

    /// Gives an order and waits for the answer, which may take seconds.
    ///
    /// # Errors
    /// As [`Orders::ask`].
    pub async fn ask(&self, order: GroupOrder, by: String) -> Result<OrderAnswer, OrderError> {
        let (reply, answer) = oneshot::channel();
        self.requests.try_send(GroupRequest { order, by, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => OrderError::Busy,
            mpsc::error::TrySendError::Closed(_) => OrderError::Stopping,
        })?;
        answer.await.unwrap_or(Err(OrderError::Stopping))
    }
}

/// The API's end of the inbox.
#[derive(Debug, Clone)]
pub struct Orders(mpsc::Sender<Request>);

impl Orders {
    /// An inbox for `capacity` waiting requests, and its driver's end.
    #[must_use]
    pub fn inbox(capacity: usize) -> (Self, mpsc::Receiver<Request>) {
        let (sender, receiver) = mpsc::channel(capacity);
        (Self(sender), receiver)
    }

    /// Sends the request that `make` builds around a reply channel and waits for the answer.
    ///
    /// # Errors
    /// What the driver answers; [`OrderError::Busy`] and [`OrderError::Stopping`] if it could not be asked.
    pub async fn ask<T>(&self, make: impl FnOnce(Reply<T>) -> Request) -> Result<T, OrderError> {
        let (reply, answer) = oneshot::channel();
        self.0.try_send(make(reply)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => OrderError::Busy,
            mpsc::error::TrySendError::Closed(_) => OrderError::Stopping,
        })?;
        answer.await.unwrap_or(Err(OrderError::Stopping))
    }
}
