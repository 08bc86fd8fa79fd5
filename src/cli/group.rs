//! The commands about nodes that protect each other.

use super::{
    args::{Command, GroupCommand},
    client::{Client, segment},
    order::give,
};
use crate::model::group::Role;
use serde_json::json;

/// Carries `command` out if it is one of these; else it comes back.
pub(super) async fn ask(command: Command, client: &Client) -> Result<anyhow::Result<()>, Command> {
    let (path, order, output) = match command {
        Command::Group { command } => return Ok(group(command, client).await),
        Command::Sync { node, output } => {
            ("/api/v1/sync".into(), node.map_or_else(|| json!({}), |node| json!({ "node": node })), output)
        }
        Command::Takeover { seat, force, output } => (path(&seat, "takeover"), json!({ "force": force }), output),
        Command::Reverse { seat, output } => (path(&seat, "reverse"), json!({}), output),
        Command::Replace { seat, with, output } => (path(&seat, "replace"), json!({ "with": with }), output),
        other => return Err(other),
    };
    Ok(give(client, &path, &order, output.json).await)
}

async fn group(command: GroupCommand, client: &Client) -> anyhow::Result<()> {
    let (path, order, output) = match command {
        GroupCommand::Join { address, reverse, output } => {
            ("group/join", json!({ "forward": address.to_string(), "reverse": reverse.to_string() }), output)
        }
        GroupCommand::Leave { node, output } => ("group/leave", json!({ "node": node }), output),
        GroupCommand::Resolve { output } => ("group/resolve", json!({}), output),
        GroupCommand::Role { role, sync_first, force, output } => {
            let order = json!({ "role": Role::from(role), "sync_first": sync_first, "force": force });
            ("role", order, output)
        }
    };
    give(client, &format!("/api/v1/{path}"), &order, output.json).await
}

fn path(seat: &str, verb: &str) -> String {
    format!("/api/v1/seats/{}/{verb}", segment(seat))
}
