//! Giving orders. Every one is answered when it is decided, not when its last session has moved.

use super::{
    Deps,
    guard::Caller,
    input::{Nothing, Order as Body, Pair},
    problem::Problem,
};
use crate::{
    control::orders::Request,
    decide::input::{MigrationOrder, Order},
    model::{
        Epoch, PairName, Side,
        view::{AlertsTestAnswer, OrderAnswer, ReloadAnswer, ResyncAnswer},
    },
};
use axum::{
    Extension, Json,
    extract::{FromRequestParts, State},
    http::request::Parts,
};
use serde::Deserialize;
use utoipa::ToSchema;

type Answer<T> = Result<Json<T>, Problem>;

/// A resync signal.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResyncOrder {
    /// If given, must be the pair's epoch: a signal from before the last failover then changes nothing.
    epoch: Option<Epoch>,
    /// The side that holds everything again; the primary if not given.
    of: Option<Side>,
}

/// Who may send a signal of the pair named in the path; checked before the body is read.
pub(super) struct SignalOf {
    pair: PairName,
    by: String,
}

impl<S: Send + Sync> FromRequestParts<S> for SignalOf {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Pair(pair) = Pair::from_request_parts(parts, state).await?;
        let caller = parts.extensions.get::<Caller>().ok_or_else(Problem::unauthorized)?;
        caller.may_resync(&pair)?;
        Ok(Self { pair, by: caller.by.clone() })
    }
}

/// "This side holds everything again": opens the way back to the primary. Safe to repeat (`N5`); the body may be empty.
#[utoipa::path(post, path = "/api/v1/pairs/{pair}/resync", tag = "order",
    params(("pair" = String, Path, description = "The pair's name")),
    request_body(content = Option<ResyncOrder>), responses((status = 200, body = ResyncAnswer)))]
pub(super) async fn resync(
    State(served): Deps,
    signal: SignalOf,
    Body(order): Body<ResyncOrder>,
) -> Answer<ResyncAnswer> {
    let SignalOf { pair, by } = signal;
    let ResyncOrder { epoch, of } = order;
    let of = of.unwrap_or(Side::Primary);
    Ok(Json(served.deps.orders.ask(|reply| Request::Resync { pair, of, epoch, by, reply }).await?))
}

/// Change sides, or go back to automatic decisions. Either `to` or `auto`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SwitchOrder {
    /// The side to change to; the pair stays there until `auto`.
    to: Option<Side>,
    /// `true`: decide automatically again.
    #[serde(default)]
    auto: bool,
    /// With `to`: close the sessions of the side left at once.
    #[serde(default)]
    now: bool,
    /// With `to`: even to a primary without a valid resync signal, or to a server that fails its checks.
    #[serde(default)]
    force: bool,
}

/// Changes a pair's side by hand.
#[utoipa::path(post, path = "/api/v1/pairs/{pair}/switch", tag = "order",
    params(("pair" = String, Path, description = "The pair's name")),
    request_body = SwitchOrder, responses((status = 200, body = OrderAnswer)))]
pub(super) async fn switch(
    deps: Deps,
    Pair(pair): Pair,
    Extension(caller): Extension<Caller>,
    Body(order): Body<SwitchOrder>,
) -> Answer<OrderAnswer> {
    let wrong = |field: &str, detail: &str| Err(Problem::bad_request(detail, Some(field.into())));
    let order = match order {
        SwitchOrder { to: Some(_), auto: true, .. } => return wrong("auto", "`to` and `auto` exclude each other"),
        SwitchOrder { to: Some(to), auto: false, now, force } => Order::Switch { to, now, force },
        SwitchOrder { auto: true, now: true, .. } => return wrong("now", "`now` goes with `to`, not with `auto`"),
        SwitchOrder { auto: true, force: true, .. } => {
            return wrong("force", "`force` goes with `to`, not with `auto`");
        }
        SwitchOrder { auto: true, .. } => Order::SwitchAuto,
        SwitchOrder { to: None, .. } => return wrong("to", "give `to` (primary or backup) or `auto`: true"),
    };
    give(deps, pair, caller, order).await
}

/// No automatic change of side until `unfreeze`.
#[utoipa::path(post, path = "/api/v1/pairs/{pair}/freeze", tag = "order",
    params(("pair" = String, Path, description = "The pair's name")),
    request_body(content = Option<Nothing>), responses((status = 200, body = OrderAnswer)))]
pub(super) async fn freeze(
    deps: Deps,
    Pair(pair): Pair,
    Extension(caller): Extension<Caller>,
    Body(Nothing {}): Body<Nothing>,
) -> Answer<OrderAnswer> {
    give(deps, pair, caller, Order::Freeze(true)).await
}

/// Automatic changes of side again.
#[utoipa::path(post, path = "/api/v1/pairs/{pair}/unfreeze", tag = "order",
    params(("pair" = String, Path, description = "The pair's name")),
    request_body(content = Option<Nothing>), responses((status = 200, body = OrderAnswer)))]
pub(super) async fn unfreeze(
    deps: Deps,
    Pair(pair): Pair,
    Extension(caller): Extension<Caller>,
    Body(Nothing {}): Body<Nothing>,
) -> Answer<OrderAnswer> {
    give(deps, pair, caller, Order::Freeze(false)).await
}

/// What to do with the migration under way.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MigrationBody {
    /// What to do.
    action: MigrationAction,
}

/// What can be done to a migration under way (`X2`).
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum MigrationAction {
    /// Close nobody for now.
    Pause,
    /// Go on.
    Resume,
    /// Newcomers go to the side left again.
    Abort,
    /// Close all that are left at once.
    Force,
}

/// Pauses, resumes, aborts or forces the migration of a pair.
#[utoipa::path(post, path = "/api/v1/pairs/{pair}/migration", tag = "order",
    params(("pair" = String, Path, description = "The pair's name")),
    request_body = MigrationBody, responses((status = 200, body = OrderAnswer)))]
pub(super) async fn migration(
    deps: Deps,
    Pair(pair): Pair,
    Extension(caller): Extension<Caller>,
    Body(MigrationBody { action }): Body<MigrationBody>,
) -> Answer<OrderAnswer> {
    let order = match action {
        MigrationAction::Pause => MigrationOrder::Pause,
        MigrationAction::Resume => MigrationOrder::Resume,
        MigrationAction::Abort => MigrationOrder::Abort,
        MigrationAction::Force => MigrationOrder::Force,
    };
    give(deps, pair, caller, Order::Migration(order)).await
}

/// How to reload.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReloadOrder {
    /// Apply it even if upstreams' addresses were swapped under their names.
    #[serde(default)]
    force: bool,
}

/// Reads the configuration file (and the tokens) again and applies the difference; a bad file changes nothing.
#[utoipa::path(post, path = "/api/v1/reload", tag = "order",
    request_body(content = Option<ReloadOrder>), responses((status = 200, body = ReloadAnswer)))]
pub(super) async fn reload(
    State(served): Deps,
    Extension(caller): Extension<Caller>,
    Body(ReloadOrder { force }): Body<ReloadOrder>,
) -> Answer<ReloadAnswer> {
    Ok(Json(served.deps.orders.ask(|reply| Request::Reload { force, by: caller.by, reply }).await?))
}

/// Sends a test alert to everybody who is told of alerts and says what became of each, within half a minute.
#[utoipa::path(post, path = "/api/v1/alerts/test", tag = "order",
    request_body(content = Option<Nothing>), responses((status = 200, body = AlertsTestAnswer)))]
pub(super) async fn test_alerts(
    State(served): Deps,
    Extension(caller): Extension<Caller>,
    Body(Nothing {}): Body<Nothing>,
) -> Answer<AlertsTestAnswer> {
    Ok(Json(served.deps.orders.ask(|reply| Request::TestAlerts { by: caller.by, reply }).await?))
}

async fn give(State(served): Deps, pair: PairName, caller: Caller, order: Order) -> Answer<OrderAnswer> {
    Ok(Json(served.deps.orders.ask(|reply| Request::Order { pair, order, by: caller.by, reply }).await?))
}
