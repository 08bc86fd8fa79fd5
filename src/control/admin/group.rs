//! Nodes that protect each other: looking at them, and orders to this one about them. What is decided is decided by the
//! group's task; a node alone has none, and says so.

use super::{
    Deps, Served, fit,
    guard::Caller,
    input::{Asked, Member, Nothing, Order as Body},
    problem::Problem,
};
use crate::{
    control::orders::{GroupOrder, GroupOrders, Request},
    decide::seat::input::Order,
    model::{
        HostPort, NodeName,
        group::Role,
        view::{
            OrderAnswer, StatusView,
            group::{BackupView, HealthView, NodeView},
        },
    },
};
use axum::{
    Extension, Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa::ToSchema;

type Answer = Result<Json<OrderAnswer>, Problem>;

/// The whole node, and its group.
pub(super) async fn status(served: &Served) -> Result<StatusView, Problem> {
    let mut view = served.deps.orders.ask(Request::Status).await?;
    if let Some(group) = &served.deps.group {
        view.group = Some(GroupOrders::view(group).as_ref().clone());
    }
    Ok(view)
}

/// The members of the group, by name; none for a node alone.
#[utoipa::path(get, path = "/api/v1/nodes", tag = "group", responses((status = 200, body = [NodeView])))]
pub(super) async fn nodes(State(served): Deps) -> Json<Vec<NodeView>> {
    Json(served.deps.group.as_ref().map(|group| group.view().nodes.clone()).unwrap_or_default())
}

/// The backup nodes of a node, and whether each has everything of its seat.
#[utoipa::path(get, path = "/api/v1/nodes/{node}/backups", tag = "group",
    params(("node" = String, Path, description = "The node's name")), responses((status = 200, body = [BackupView])))]
pub(super) async fn backups(State(served): Deps, Member(node): Member) -> Result<Json<Vec<BackupView>>, Problem> {
    let (backups, known) = match &served.deps.group {
        Some(group) => {
            let view = group.view();
            (fit::backups(&view, &node), view.nodes.iter().map(|node| node.node.clone()).collect())
        }
        None => {
            let this = this_node(&served).await?;
            ((this == node).then(Vec::new), vec![this])
        }
    };
    backups.map(Json).ok_or_else(|| Problem::no_such_node(&node, &known))
}

/// Another node that shall protect this one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewBackup {
    /// Its `group.peer_listen`, as reached from here.
    #[schema(value_type = String)]
    address: HostPort,
    /// This node's, as reached from there.
    #[schema(value_type = String)]
    reverse: HostPort,
}

/// Joins a backup node to this one; another node's are its own business.
#[utoipa::path(post, path = "/api/v1/nodes/{node}/backups", tag = "group",
    params(("node" = String, Path, description = "This node's name")),
    request_body = NewBackup, responses((status = 200, body = OrderAnswer)))]
pub(super) async fn add_backup(
    State(served): Deps,
    Member(node): Member,
    Extension(caller): Extension<Caller>,
    Body(order): Body<NewBackup>,
) -> Answer {
    let view = in_group(&served)?.view();
    let known: Vec<NodeName> = view.nodes.iter().map(|node| node.node.clone()).collect();
    match view.nodes.iter().find(|its| its.node == node) {
        None => Err(Problem::no_such_node(&node, &known)),
        Some(its) if !its.this => {
            Err(Problem::elsewhere(format!("a backup of {node} is added at {node} itself: ask that node")))
        }
        Some(_) => give(&served, caller, GroupOrder::Join { forward: order.address, reverse: order.reverse }).await,
    }
}

/// Which form of the health.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct HealthForm {
    /// `?plain` or `?plain=true`: text, with status 500 if the node is not fit.
    plain: Option<String>,
}

/// Is this node fit for its place in the group? As JSON always 200; `?plain` answers 200 `ok`, or 500 and the reasons, a line each.
#[utoipa::path(get, path = "/api/v1/health", tag = "group", params(HealthForm),
    responses((status = 200, body = HealthView), (status = 500, body = String, content_type = "text/plain")))]
pub(super) async fn health(State(served): Deps, Asked(form): Asked<HealthForm>) -> Result<Response, Problem> {
    let plain = match form.plain.as_deref() {
        None | Some("false") => false,
        Some("" | "true") => true,
        Some(_) => return Err(Problem::bad_request("`plain` is true or false", Some("plain".into()))),
    };
    let StatusView { node, group, .. } = status(&served).await?;
    let reasons = group.as_ref().map(fit::reasons).unwrap_or_default();
    let view = HealthView { fit: reasons.is_empty(), reasons, node, group };
    Ok(match (plain, view.fit) {
        (false, _) => Json(view).into_response(),
        (true, true) => "ok\n".into_response(),
        (true, false) => {
            let lines: String =
                view.reasons.iter().map(|reason| format!("{}\n", crate::model::plain::plain(reason))).collect();
            (StatusCode::INTERNAL_SERVER_ERROR, lines).into_response()
        }
    })
}

/// Take a seat.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TakeoverOrder {
    /// Whatever stands against it. Audited.
    #[serde(default)]
    force: bool,
}

/// This node becomes the seat's holder (`G3`). The body may be empty.
#[utoipa::path(post, path = "/api/v1/seats/{seat}/takeover", tag = "group",
    params(("seat" = String, Path, description = "The name of the primary node that the seat is called by")),
    request_body(content = Option<TakeoverOrder>), responses((status = 200, body = OrderAnswer)))]
pub(super) async fn takeover(
    State(served): Deps,
    Member(seat): Member,
    Extension(caller): Extension<Caller>,
    Body(TakeoverOrder { force }): Body<TakeoverOrder>,
) -> Answer {
    give(&served, caller, GroupOrder::Seat(Order::Takeover { seat, force })).await
}

/// The seat goes back to its own node (`G6`).
#[utoipa::path(post, path = "/api/v1/seats/{seat}/reverse", tag = "group",
    params(("seat" = String, Path, description = "The name of the primary node that the seat is called by")),
    request_body(content = Option<Nothing>), responses((status = 200, body = OrderAnswer)))]
pub(super) async fn reverse(
    State(served): Deps,
    Member(seat): Member,
    Extension(caller): Extension<Caller>,
    Body(Nothing {}): Body<Nothing>,
) -> Answer {
    give(&served, caller, GroupOrder::Seat(Order::Reverse { seat })).await
}

/// Give a seat to another node for good.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplaceOrder {
    /// The node whose own it becomes.
    with: NodeName,
}

/// The seat becomes another node's own (`G7`).
#[utoipa::path(post, path = "/api/v1/seats/{seat}/replace", tag = "group",
    params(("seat" = String, Path, description = "The name of the primary node that the seat is called by")),
    request_body = ReplaceOrder, responses((status = 200, body = OrderAnswer)))]
pub(super) async fn replace(
    State(served): Deps,
    Member(seat): Member,
    Extension(caller): Extension<Caller>,
    Body(ReplaceOrder { with }): Body<ReplaceOrder>,
) -> Answer {
    give(&served, caller, GroupOrder::Seat(Order::Replace { seat, with })).await
}

/// Change what this node is meant to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RoleOrder {
    /// The role.
    role: Role,
    /// Pull before anything changes.
    #[serde(default)]
    sync_first: bool,
    /// Whatever stands against it. Audited.
    #[serde(default)]
    force: bool,
}

/// Changes this node's configured role (`B13`).
#[utoipa::path(post, path = "/api/v1/role", tag = "group",
    request_body = RoleOrder, responses((status = 200, body = OrderAnswer)))]
pub(super) async fn role(deps: Deps, Extension(caller): Extension<Caller>, Body(order): Body<RoleOrder>) -> Answer {
    let RoleOrder { role, sync_first, force } = order;
    give(&deps, caller, GroupOrder::Seat(Order::Role { role, sync_first, force })).await
}

/// Two nodes that shall protect each other.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct JoinOrder {
    /// The backup node's `group.peer_listen`, as reached from here.
    #[schema(value_type = String)]
    forward: HostPort,
    /// This node's, as reached from there.
    #[schema(value_type = String)]
    reverse: HostPort,
}

/// Makes another node a backup of this one (`B1`). Both must hold the same pairing key.
#[utoipa::path(post, path = "/api/v1/group/join", tag = "group",
    request_body = JoinOrder, responses((status = 200, body = OrderAnswer)))]
pub(super) async fn join(deps: Deps, Extension(caller): Extension<Caller>, Body(order): Body<JoinOrder>) -> Answer {
    let JoinOrder { forward, reverse } = order;
    give(&deps, caller, GroupOrder::Join { forward, reverse }).await
}

/// Who leaves.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LeaveOrder {
    /// Another node, which this one parts from; this one, from all, if not given.
    node: Option<NodeName>,
}

/// This node leaves its group, and what was synced from it goes with it; or it parts from one other node. The body may be empty.
#[utoipa::path(post, path = "/api/v1/group/leave", tag = "group",
    request_body(content = Option<LeaveOrder>), responses((status = 200, body = OrderAnswer)))]
pub(super) async fn leave(
    deps: Deps,
    Extension(caller): Extension<Caller>,
    Body(LeaveOrder { node }): Body<LeaveOrder>,
) -> Answer {
    give(&deps, caller, node.map_or(GroupOrder::Seat(Order::Leave), GroupOrder::Part)).await
}

/// Mends what a conflict left: a seat that nobody serves, nodes that are all primary or all backup (`B14`).
#[utoipa::path(post, path = "/api/v1/group/resolve", tag = "group",
    request_body(content = Option<Nothing>), responses((status = 200, body = OrderAnswer)))]
pub(super) async fn resolve(
    deps: Deps,
    Extension(caller): Extension<Caller>,
    Body(Nothing {}): Body<Nothing>,
) -> Answer {
    give(&deps, caller, GroupOrder::Seat(Order::Resolve)).await
}

/// Copy the seats' configuration now.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SyncOrder {
    /// Who shall pull; this node if not given.
    node: Option<NodeName>,
}

/// Pulls every seat from its holder now (`B3`). The body may be empty.
#[utoipa::path(post, path = "/api/v1/sync", tag = "group",
    request_body(content = Option<SyncOrder>), responses((status = 200, body = OrderAnswer)))]
pub(super) async fn sync(
    deps: Deps,
    Extension(caller): Extension<Caller>,
    Body(SyncOrder { node }): Body<SyncOrder>,
) -> Answer {
    give(&deps, caller, GroupOrder::Sync(node)).await
}

async fn give(served: &Served, caller: Caller, order: GroupOrder) -> Answer {
    Ok(Json(in_group(served)?.ask(order, caller.by).await?))
}

fn in_group(served: &Served) -> Result<&GroupOrders, Problem> {
    served.deps.group.as_ref().ok_or_else(Problem::no_group)
}

async fn this_node(served: &Served) -> Result<NodeName, Problem> {
    Ok(served.deps.orders.ask(Request::Status).await?.node)
}
