//! The data plane: client bytes live here and nowhere else.
//!
//! ```text
//!    table (watch)      ┌─ worker-0 ─ one thread, one event loop ─────────────────────────┐
//!   ───────────────────▶│ worker   obeys the table, takes over clients, answers questions │──▶ progress (watch)
//!    queries (mpsc)     │ door     one task per listening address: accept, place, hand    │
//!   ───────────────────▶│          over to a worker with fewer sessions ───────────────┐  │──▶ outcomes (mpsc, drops)
//!                       │ session  one task each: header → TLS → hold → dial → relay   │  │
//!                       │ sweep    once a second: idle timeout, keepalive              │  │──▶ stats (atomics)
//!                       └──────────────────────────────────────────────────────────────┼──┘
//!                       ┌─ worker-1 … the same ◀── clients handed over (mpsc, bounded) ┘
//!    shared: sessions per route, held clients and pace per pair (atomics)
//! ```
//!
//! A session lives and dies on one worker. Idle, it owns two descriptors and no buffer. Everything a worker is told is a
//! level: whoever misses a version misses nothing, and a worker that hears nothing more goes on with the last table.

mod admit;
mod complain;
mod door;
mod flow;
mod handshake;
mod header;
mod order;
mod pair;
mod pipe;
mod relay;
mod route;
mod secure;
mod session;
mod shared;
mod spin;
mod sweep;
mod worker;

use crate::model::ports::WorkerPorts;
use shared::{Handed, Shared};
use spin::Spin;
use std::{
    io,
    rc::Rc,
    sync::{Arc, mpsc::sync_channel},
    thread::JoinHandle,
    time::Duration,
};
use tokio::{
    runtime::{Builder, LocalOptions, LocalRuntime},
    sync::mpsc,
    task::spawn_local,
};
use worker::Worker;

/// Starts `count` workers, one thread each (`worker-0` …). Each ends once the table says `stopping` and its last session is
/// gone. A worker whose control is gone serves the last table as long as the process lives.
///
/// # Errors
/// `InvalidInput` unless there are `count` `ports`; otherwise what kept a thread or its event loop from starting.
pub fn spawn_workers(count: usize, busy_poll: Duration, ports: Vec<WorkerPorts>) -> io::Result<Vec<JoinHandle<()>>> {
    if count == 0 || ports.len() != count {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "there must be one set of ports for each worker"));
    }
    let (shared, inboxes) = Shared::new(count);
    let mut threads = Vec::with_capacity(count);
    for (index, (ports, inbox)) in ports.into_iter().zip(inboxes).enumerate() {
        let shared = Arc::clone(&shared);
        let (started, has_started) = sync_channel(1);
        let body = move || match runtime() {
            Ok(runtime) => {
                // Who started it waits for this word.
                let _ = started.send(Ok(()));
                serve(&runtime, index, shared, inbox, ports, busy_poll);
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        };
        threads.push(std::thread::Builder::new().name(format!("worker-{index}")).spawn(body)?);
        has_started.recv().unwrap_or_else(|_| Err(io::Error::other("a worker ended before it began")))?;
    }
    Ok(threads)
}

fn runtime() -> io::Result<LocalRuntime> {
    Builder::new_current_thread().enable_io().enable_time().build_local(LocalOptions::default())
}

fn serve(
    runtime: &LocalRuntime,
    index: usize,
    shared: Arc<Shared>,
    inbox: mpsc::Receiver<Handed>,
    ports: WorkerPorts,
    busy_poll: Duration,
) {
    let (worker, ends) = Worker::new(index, shared, inbox, ports, Spin::new(busy_poll));
    runtime.block_on(async {
        spawn_local(sweep::sweep(Rc::clone(&worker)));
        let spinning = Rc::clone(&worker);
        spawn_local(async move {
            if let Some(spin) = &spinning.spin {
                spin.spin().await;
            }
        });
        worker.work(ends).await;
    });
}
