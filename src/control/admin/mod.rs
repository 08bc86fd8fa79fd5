//! The admin API: HTTP/1.1 on a TCP or unix socket.
//!
//! ```text
//!   listen (bounds, deadlines) ─▶ guard (Host, Origin, token) ─▶ routes ─┬▶ look   ─▶ Orders, Workers, Metrics
//!                                                                        ├▶ order  ─▶ Orders ─▶ driver
//!                                                                        ├▶ group  ─▶ GroupOrders ─▶ the group's task
//!                                                                        └▶ events ─▶ EventLog
//! ```
//!
//! Bind first ([`AdminServer::bind`], [`MetricsServer::bind`]), so that an address in use is an error at start; serve later.

mod bind;
mod events;
mod fit;
mod group;
mod guard;
mod input;
mod listen;
mod look;
mod order;
mod problem;
mod routes;
mod token;

pub use bind::AdminError;
pub use problem::Problem;
pub use token::{NewTokens, Scope, TokenError, Tokens};

use super::orders::{GroupOrders, Orders};
use crate::{
    config::{AdminConfig, AdminListen},
    model::ports::Workers,
    observe::{event::EventLog, metrics::Metrics},
};
use bind::Bound;
use guard::Guard;
use std::{io, net::SocketAddr, sync::Arc};
use tokio::sync::{Semaphore, watch};

/// What the API needs from the rest of the node.
#[derive(Debug, Clone)]
pub struct AdminDeps {
    /// The driver's inbox.
    pub orders: Orders,
    /// The group's; nothing for a node alone.
    pub group: Option<GroupOrders>,
    /// The workers: their sessions and counters.
    pub workers: Workers,
    /// What happened.
    pub events: EventLog,
    /// What is counted.
    pub metrics: Metrics,
    /// True once the routes listen.
    pub ready: watch::Receiver<bool>,
    /// True once the node stops: the servers end what is under way and return.
    pub stop: watch::Receiver<bool>,
}

/// The API's listener, bound.
#[derive(Debug)]
pub struct AdminServer {
    bound: Bound,
    guard: Guard,
}

impl AdminServer {
    /// Binds the listener. Keep a clone of `tokens` and call [`Tokens::replace`] when the configuration is reloaded.
    ///
    /// # Errors
    /// If the address can't be listened on, or could be reached by others while no token is needed.
    pub fn bind(config: &AdminConfig, tokens: Tokens) -> Result<Self, AdminError> {
        let local = config.listen.is_local();
        if let AdminListen::Tcp(address) = config.listen
            && !local
            && !tokens.needed()
        {
            return Err(AdminError::NeedsTokens(address));
        }
        let listen = match config.listen {
            AdminListen::Tcp(address) => Some(address.ip()),
            AdminListen::Unix(_) => None,
        };
        Ok(Self { bound: bind::bind(&config.listen)?, guard: Guard { tokens, local, listen } })
    }

    /// The address bound, with the port the kernel chose if it was 0; `None` for a unix socket.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.bound {
            Bound::Tcp(listener) => listener.local_addr().ok(),
            Bound::Unix(..) => None,
        }
    }

    /// Serves until [`AdminDeps::stop`].
    ///
    /// # Errors
    /// If the runtime can't take the socket. No client's doing ends it.
    pub async fn serve(self, deps: AdminDeps) -> io::Result<()> {
        let stop = deps.stop.clone();
        listen::serve(self.bound, routes::router(deps, self.guard), stop).await
    }
}

/// What the handlers share.
struct Served {
    deps: AdminDeps,
    document: utoipa::openapi::OpenApi,
    /// Questions to all workers at once.
    session_queries: Semaphore,
    scrapes: Arc<Semaphore>,
    /// Followers of the events at once; half of the connections, so that they never keep an operator out.
    followers: Arc<Semaphore>,
}

/// Pages of metrics being written at once, on each listener.
fn scrapes() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(2))
}

type Deps = axum::extract::State<Arc<Served>>;

impl Served {
    fn new(deps: AdminDeps, document: utoipa::openapi::OpenApi) -> Self {
        let followers = Arc::new(Semaphore::new(listen::most_connections() / 2));
        Self { deps, document, session_queries: Semaphore::new(2), scrapes: scrapes(), followers }
    }
}

/// The extra listener of `[metrics]`, bound.
#[derive(Debug)]
pub struct MetricsServer(Bound);

impl MetricsServer {
    /// Binds the listener.
    ///
    /// # Errors
    /// If the address can't be listened on.
    pub fn bind(address: SocketAddr) -> Result<Self, AdminError> {
        bind::bind_tcp(address).map(Bound::Tcp).map(Self)
    }

    /// The address bound, with the port the kernel chose if it was 0.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.0 {
            Bound::Tcp(listener) => listener.local_addr().ok(),
            Bound::Unix(..) => None,
        }
    }

    /// Serves `/metrics`, and nothing else, until `stop` is true.
    ///
    /// # Errors
    /// If the runtime can't take the socket. No client's doing ends it.
    pub async fn serve(self, metrics: Metrics, workers: Workers, stop: watch::Receiver<bool>) -> io::Result<()> {
        listen::serve(self.0, routes::metrics_only(metrics, workers), stop).await
    }
}
