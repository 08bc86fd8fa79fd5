//! `failback demo`: a failover and a gated failback in half a minute, on real processes, with nothing to configure.
//!
//! ```text
//!   failback demo (parent): story, keys, screen, witness
//!        │ 36 probes, a task each ──▶ route ┌───────────────────┐ ──▶ AGG_P ┌─────────────┐ ◀─┐
//!        │                                  │ failback run      │           │ demo server │   │ gateway (link.rs):
//!        ├─▶ admin API ◀────────────────────│ (child)           │ ──▶ AGG_B │ (children)  │ ◀─┘ copies, resync
//!        └─▶ kill -9, ask ─────────────────▶└───────────────────┘           └─────────────┘
//! ```
//!
//! The servers ([`server`], their data in [`core`]) stand for a pair whose gateway copies events both ways: the one that was
//! dead is stale when it returns, and what it had is deleted when it is filled. `probe` and `fleet` know what was promised
//! to them, so that the count at the end is a comparison and no belief.

mod admin;
mod ask;
mod core;
mod disk;
mod error;
mod fleet;
mod http;
mod keys;
mod link;
mod plain;
mod play;
mod probe;
mod protocol;
mod roles;
mod screen;
mod server;
mod signal;
mod stage;
mod store;
mod story;

pub use error::DemoError;
pub use roles::Role;

use clap::Args;
use fleet::Count;
use keys::Keyboard;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// `failback demo`.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DemoArgs {
    /// Tell the story and exit, with 0 if nothing was lost; so it is without a terminal, too
    #[arg(long)]
    once: bool,
    /// How many probes send events
    #[arg(long, default_value_t = 36, value_parser = clap::value_parser!(u64).range(1..=500))]
    probes: u64,
    #[command(subcommand)]
    role: Option<Role>,
}

/// Runs the demo, or the part of it that this process is to play. Call it from the main thread: the children live no longer
/// than the thread that started them.
///
/// # Errors
/// The demo could not be shown to its end ([`DemoError`]).
pub fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    // One thread is plenty, and all children are started by the main one.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let told = async {
            match args.role {
                Some(role) => roles::play(role).await.map(|()| ExitCode::SUCCESS),
                None => show(args.once, args.probes).await,
            }
        };
        // What is dropped by a signal cleans up after itself: children, folder, terminal.
        let code = tokio::select! {
            told = told => return Ok(told?),
            _ = interrupt.recv() => 130,
            _ = terminate.recv() => 143,
            _ = hangup.recv() => 129,
        };
        anstream::eprintln!();
        Ok(ExitCode::from(code))
    })
}

async fn show(once: bool, probes: u64) -> Result<ExitCode, DemoError> {
    let keyboard = if once { None } else { Keyboard::take() };
    let mut play = play::Play::start(probes).await?;
    let told = match story::tell(&mut play).await {
        Ok(counted) => match &keyboard {
            Some(keyboard) => keys::obey(&mut play, keyboard).await,
            None => Ok(counted),
        },
        Err(error) => Err(error),
    };
    play.screen.wipe();
    let Count { lost, duplicated, .. } = told?;
    Ok(if lost + duplicated == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
