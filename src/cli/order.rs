//! The commands that give orders.

use super::{
    Usage,
    args::{MigrationArg, SideArg, ToArg},
    client::{Client, decode, segment},
    write,
};
use crate::model::{
    Side,
    plain::plain,
    view::{AlertsTestAnswer, ChannelTest, OrderAnswer, PairView, ReloadAnswer, ResyncAnswer, UpstreamRole},
};
use serde_json::{Map, Value, json};

pub(super) async fn resync(
    client: &Client,
    pair: &str,
    epoch: Option<u64>,
    of: Option<SideArg>,
    as_json: bool,
) -> anyhow::Result<()> {
    let mut order = Map::new();
    if let Some(epoch) = epoch {
        order.insert("epoch".into(), epoch.into());
    }
    if let Some(of) = of {
        order.insert("of".into(), Side::from(of).as_str().into());
    }
    let text = client.post(&path(pair, "resync"), &Value::Object(order)).await?;
    if as_json {
        return write(&text);
    }
    let answer: ResyncAnswer = decode(&text)?;
    let prefix = if answer.accepted { "" } else { "nothing changed: " };
    write(&format!("{prefix}{}\n", plain(&answer.reason)))
}

pub(super) async fn switch(
    client: &Client,
    pair: &str,
    to: Option<ToArg>,
    now: bool,
    force: bool,
    as_json: bool,
) -> anyhow::Result<()> {
    let order = match to {
        Some(ToArg::Side(to)) => json!({ "to": Side::from(to).as_str(), "now": now, "force": force }),
        Some(ToArg::Name(name)) => return Err(no_side(client, pair, &name).await.into()),
        None => json!({ "auto": true }),
    };
    give(client, &path(pair, "switch"), &order, as_json).await
}

/// What to say to somebody who named no side; who named a server hears on which side it is.
async fn no_side(client: &Client, pair: &str, name: &str) -> Usage {
    let view = client.get::<PairView>(&format!("/api/v1/pairs/{}", segment(pair))).await.ok();
    let role = view.and_then(|view| view.upstreams.iter().find(|its| &*its.name == name).map(|its| its.role));
    let name = plain(name);
    Usage(match role {
        Some(UpstreamRole::Primary) => format!("--to {name}: that is the primary; write --to primary"),
        Some(UpstreamRole::Backup) => format!("--to {name}: that is a backup; write --to backup"),
        Some(UpstreamRole::Elsewhere) => format!("--to {name}: that is another proxy's; clients can't be sent there"),
        None => format!("--to {name}: write primary or backup"),
    })
}

pub(super) async fn migration(client: &Client, pair: &str, action: MigrationArg, as_json: bool) -> anyhow::Result<()> {
    give(client, &path(pair, "migration"), &json!({ "action": action.as_str() }), as_json).await
}

pub(super) async fn freeze(client: &Client, pair: &str, verb: &str, as_json: bool) -> anyhow::Result<()> {
    give(client, &path(pair, verb), &json!({}), as_json).await
}

pub(super) async fn reload(client: &Client, force: bool, as_json: bool) -> anyhow::Result<()> {
    let text = client.post("/api/v1/reload", &json!({ "force": force })).await?;
    if as_json {
        return write(&text);
    }
    let answer: ReloadAnswer = decode(&text)?;
    if answer.changes.is_empty() {
        return write("reloaded; nothing has changed\n");
    }
    let lines: String = answer.changes.iter().map(|change| format!("{}\n", plain(change))).collect();
    write(&lines)
}

pub(super) async fn test_alerts(client: &Client, as_json: bool) -> anyhow::Result<()> {
    let text = client.post("/api/v1/alerts/test", &json!({})).await?;
    let answer: AlertsTestAnswer = decode(&text)?;
    let line = |test: &ChannelTest| {
        let verdict = if test.delivered { "delivered" } else { "NOT DELIVERED" };
        format!("{}: {verdict}: {} ({:.1} s)\n", plain(&test.channel), plain(&test.message), test.took.as_secs_f64())
    };
    let lines: String = answer.channels.iter().map(line).collect();
    write(if as_json { &text } else { &lines })?;
    let failed = answer.channels.iter().filter(|test| !test.delivered).count();
    anyhow::ensure!(failed == 0, "{failed} of {} did not take the alert", answer.channels.len());
    Ok(())
}

pub(super) async fn give(client: &Client, path: &str, order: &Value, as_json: bool) -> anyhow::Result<()> {
    let text = client.post(path, order).await?;
    if as_json {
        return write(&text);
    }
    let answer: OrderAnswer = decode(&text)?;
    let prefix = if answer.changed { "" } else { "nothing changed: " };
    write(&format!("{prefix}{}\n", plain(&answer.message)))
}

fn path(pair: &str, verb: &str) -> String {
    format!("/api/v1/pairs/{}/{verb}", segment(pair))
}
