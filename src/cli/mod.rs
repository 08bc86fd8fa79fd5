//! The command line: a client of the admin API. It shares the views with the node and nothing else.
//!
//! ```text
//!   main ─▶ execute ─┬▶ look  ─▶ client ─▶ node
//!                    │    └─▶ show (views in, text out)
//!                    ├▶ order, group ─▶ client ─▶ node
//!                    └▶ check ─▶ config
//! ```
//!
//! Exit codes: 0 good, 1 failed, 2 usage (clap's own, too), 78 bad configuration (`EX_CONFIG` of sysexits.h).

mod args;
mod check;
mod client;
mod group;
mod look;
mod order;
mod screen;
mod show;
mod sse;
mod token;

pub use args::{AlertsCommand, Command, ConfigArgs, GroupCommand, LogFormatArg, NodeArgs, Output, RoleArg, RunArgs};

use crate::config::{ConfigErrors, Finding};
use client::Client;
use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

/// What is wrong with the files that a configuration names; returns what only may be.
pub type Deeper = fn(&crate::config::Config) -> Result<Vec<Finding>, ConfigErrors>;

/// Carries out a command; `check` looks `deeper`. `whole` is the program's command line, for completions and the manual page.
///
/// # Errors
/// Whatever went wrong, in words for the person who typed it; [`exit_code`] tells how to exit then.
pub fn execute(command: Command, node: &NodeArgs, whole: clap::Command, deeper: Deeper) -> anyhow::Result<()> {
    match command {
        Command::Check { config, schema, output } => check::check(&config, schema, output.json, deeper),
        Command::Completions { shell } => completions(shell, whole),
        Command::Man => man(whole),
        command => {
            let client = Client::new(&node.admin, token::secret(node.token_file.as_deref())?.as_deref())?;
            tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(ask(command, &client))
        }
    }
}

async fn ask(command: Command, client: &Client) -> anyhow::Result<()> {
    let command = match group::ask(command, client).await {
        Ok(done) => return done,
        Err(other) => other,
    };
    match command {
        Command::Status { watch, output } => look::status(client, watch, output.json).await,
        Command::Top { interval, samples } => look::top(client, Duration::from_secs_f64(interval), samples).await,
        Command::Why { pair, output } => look::why(client, &client.pair(pair).await?, output.json).await,
        Command::Events { follow: true, since, output, .. } => look::follow(client, since, output.json).await,
        Command::Events { since, limit, output, .. } => look::events(client, since, limit, output.json).await,
        Command::Sessions { route, limit, output } => {
            look::sessions(client, route.as_deref(), limit, output.json).await
        }
        Command::Resync { pair, epoch, of, output } => {
            order::resync(client, &client.pair(pair).await?, epoch, of, output.json).await
        }
        Command::Switch { pair, to, now, force, output, .. } => {
            order::switch(client, &client.pair(pair).await?, to, now, force, output.json).await
        }
        Command::Migration { pair, action, output } => {
            order::migration(client, &client.pair(pair).await?, action, output.json).await
        }
        Command::Freeze { pair, output } => {
            order::freeze(client, &client.pair(pair).await?, "freeze", output.json).await
        }
        Command::Unfreeze { pair, output } => {
            order::freeze(client, &client.pair(pair).await?, "unfreeze", output.json).await
        }
        Command::Reload { force, output } => order::reload(client, force, output.json).await,
        Command::Alerts { command: AlertsCommand::Test { output } } => order::test_alerts(client, output.json).await,
        // Need no node, or are the group's: done already.
        Command::Check { .. } | Command::Completions { .. } | Command::Man => Ok(()),
        Command::Group { .. }
        | Command::Sync { .. }
        | Command::Takeover { .. }
        | Command::Reverse { .. }
        | Command::Replace { .. } => Ok(()),
    }
}

/// How to exit after `error`, once it is said on stderr. That the reader of our output left is no error.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.is::<ReaderGone>() {
        return ExitCode::SUCCESS;
    }
    let config = error.chain().find_map(|cause| cause.downcast_ref::<ConfigErrors>());
    // Without stderr there is nobody to tell. Findings begin with file and line, so that editors can jump there.
    let _ = match config {
        Some(errors) => writeln!(anstream::stderr(), "{errors}"),
        None => writeln!(anstream::stderr(), "failback: {error:#}"),
    };
    match error {
        _ if config.is_some() || error.is::<client::BadConfiguration>() => ExitCode::from(78),
        error if error.is::<Usage>() => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    }
}

/// What was typed can't be meant, as the node's answer shows.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// Whoever read our output has seen enough (`failback events -f | head`).
#[derive(Debug, thiserror::Error)]
#[error("the reader of the output is gone")]
struct ReaderGone;

/// Writes `text` to stdout, without colours where nobody sees them, and ends its last line.
///
/// # Errors
/// The output can't be written.
pub fn write(text: &str) -> anyhow::Result<()> {
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    write_as_it_is(&format!("{text}{end}"))
}

fn write_as_it_is(text: &str) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(ReaderGone.into()),
        written => Ok(written?),
    }
}

fn completions(shell: clap_complete::Shell, mut whole: clap::Command) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut whole, "failback", &mut script);
    write(&String::from_utf8(script)?)
}

/// The manual page; the commands follow the program itself, so that it is one file.
fn man(whole: clap::Command) -> anyhow::Result<()> {
    let mut page = Vec::new();
    let mut whole = whole.disable_help_subcommand(true);
    whole.build();
    clap_mangen::Man::new(whole.clone()).render(&mut page)?;
    for command in whole.get_subcommands().filter(|command| !command.is_hide_set()) {
        let page_of = clap_mangen::Man::new(command.clone());
        page.extend_from_slice(format!(".SH \"{}\"\n", command.get_name().to_uppercase()).as_bytes());
        page_of.render_description_section(&mut page)?;
        page_of.render_synopsis_section(&mut page)?;
        page_of.render_options_section(&mut page)?;
    }
    write(&String::from_utf8(page)?)
}
