//! The commands that look: status, why, events, sessions, top.

use super::{
    client::{Client, segment},
    screen::{self, Screen},
    show, write,
};
use crate::model::view::{
    EventView, PairView, SessionView, StatusView,
    group::{HealthView, SeatView},
};
use std::time::{Duration, Instant, SystemTime};

const REFRESH: Duration = Duration::from_secs(1);
/// Between two attempts to take up a broken stream again.
const RETRY: Duration = Duration::from_secs(1);

pub(super) async fn status(client: &Client, watch: bool, json: bool) -> anyhow::Result<()> {
    if json {
        return write(&client.text("/api/v1/status").await?);
    }
    if !watch {
        return write(&status_page(client).await?);
    }
    let mut screen = Screen::open();
    loop {
        let picture = status_page(client).await.unwrap_or_else(|error| format!("{error:#}\n"));
        screen.draw(&picture)?;
        if screen.ended_within(REFRESH).await {
            return Ok(());
        }
    }
}

async fn status_page(client: &Client) -> anyhow::Result<String> {
    let view: StatusView = client.get("/api/v1/status").await?;
    // What stands against a node of a group is for the node to say.
    let reasons = match view.group {
        Some(_) => client.get::<HealthView>("/api/v1/health").await?.reasons,
        None => Vec::new(),
    };
    Ok(show::status::page(&view, &reasons, SystemTime::now(), screen::width()))
}

pub(super) async fn why(client: &Client, pair: &str, json: bool) -> anyhow::Result<()> {
    let path = format!("/api/v1/pairs/{}", segment(pair));
    if json {
        return write(&client.text(&path).await?);
    }
    let view: PairView = client.get(&path).await?;
    // Only the group knows who holds the seat.
    let nodes: StatusView = client.get("/api/v1/status").await?;
    let seats = nodes.group.map(|group| group.seats).unwrap_or_default();
    let is_its = |seat: &&SeatView| Some(&seat.seat) == view.watched_for.as_ref() || seat.pairs.contains(&view.pair);
    let seat = seats.iter().find(is_its);
    write(&show::why::page(&view, seat, SystemTime::now(), screen::width()))
}

pub(super) async fn sessions(client: &Client, route: Option<&str>, limit: u64, json: bool) -> anyhow::Result<()> {
    let mut path = format!("/api/v1/sessions?limit={limit}");
    if let Some(route) = route {
        path.push_str(&format!("&route={}", segment(route)));
    }
    if json {
        return write(&client.text(&path).await?);
    }
    let sessions: Vec<SessionView> = client.get(&path).await?;
    write(&show::sessions::page(&sessions))
}

pub(super) async fn events(client: &Client, since: Option<u64>, limit: Option<u64>, json: bool) -> anyhow::Result<()> {
    let query = [since.map(|since| format!("since={since}")), limit.map(|limit| format!("limit={limit}"))];
    let query: Vec<String> = query.into_iter().flatten().collect();
    let path = format!("/api/v1/events?{}", query.join("&"));
    if json {
        return write(&client.text(&path).await?);
    }
    let events: Vec<EventView> = client.get(&path).await?;
    let width = screen::width();
    let lines: String = events.iter().map(|event| show::events::line(event, width) + "\n").collect();
    write(&lines)
}

/// Prints what happens until it is interrupted. A stream that breaks is taken up again where it was, so that a restart of
/// the node costs no event.
pub(super) async fn follow(client: &Client, since: Option<u64>, json: bool) -> anyhow::Result<()> {
    let mut after = since;
    let mut stream = client.events(after).await?;
    loop {
        match stream.next().await {
            Ok(Some(data)) => {
                let event: EventView = super::client::decode(&data)?;
                after = Some(event.seq);
                if json { write(&data)? } else { write(&(show::events::line(&event, screen::width()) + "\n"))? }
            }
            Ok(None) | Err(_) => stream = again(client, after).await?,
        }
    }
}

/// Takes the stream up again; only a node that cannot be reached is waited for.
async fn again(client: &Client, after: Option<u64>) -> anyhow::Result<super::sse::Stream> {
    loop {
        tokio::time::sleep(RETRY).await;
        match client.events(after).await {
            Err(error) if error.is::<super::client::Unreachable>() => {}
            answered => return answered,
        }
    }
}

pub(super) async fn top(client: &Client, every: Duration, samples: Option<u64>) -> anyhow::Result<()> {
    let mut screen = Screen::open();
    let mut before = show::top::Sample::parse(&client.text("/metrics").await?);
    let mut taken = Instant::now();
    let mut left = samples;
    while left != Some(0) {
        if screen.ended_within(every).await {
            break;
        }
        let view: StatusView = client.get("/api/v1/status").await?;
        let now = show::top::Sample::parse(&client.text("/metrics").await?);
        let seconds = taken.elapsed().as_secs_f64();
        taken = Instant::now();
        screen.draw(&show::top::page(&view, &before, &now, seconds, SystemTime::now()))?;
        before = now;
        left = left.map(|left| left - 1);
    }
    Ok(())
}
