//! `failback sessions`.

use super::{
    CARE,
    table::{Cell, Table},
    words,
};
use crate::model::view::SessionView;

/// The list, oldest first as it came.
pub(in crate::cli) fn page(sessions: &[SessionView]) -> String {
    let mut table =
        Table::new(&["ID", "ROUTE", "PAIR", "CLIENT", "UPSTREAM", "EPOCH", "AGE", "IDLE", "TO UPSTREAM", "TO CLIENT"]);
    for session in sessions {
        table.row(vec![
            Cell::new(&session.id),
            Cell::new(&*session.route),
            Cell::new(&*session.pair),
            Cell::new(&session.client),
            session
                .upstream
                .as_ref()
                .map_or_else(|| Cell::new("waiting").style(CARE), |upstream| Cell::new(&**upstream)),
            Cell::number(session.epoch),
            Cell::number(words::span(session.age)),
            Cell::number(words::span(session.idle)),
            size(session.bytes_to_upstream),
            size(session.bytes_to_client),
        ]);
    }
    table.render()
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn size(bytes: u64) -> Cell {
    Cell::number(words::bytes(bytes as f64))
}
