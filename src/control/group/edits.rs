//! What operators wrote about seats: in this node's own file, of the seat that is its own; in `state_dir/seats/NAME.toml`, of another
//! node's seat that this one holds. `reload` takes both; only who holds a seat writes it (design §4).

use super::arrange::{Arranger, How};
use crate::{
    config,
    control::{
        disk,
        orders::OrderError,
        reload,
        sync::{Copy, Settings, StoreError, draft_path},
    },
    model::{NodeName, causes::chain, revision::Revision},
};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::PathBuf,
    sync::{PoisonError, atomic::Ordering::Relaxed},
};

/// The settings of this node's own seat as they were taken from its file last, and what they became.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Imported {
    file: Revision,
    head: Revision,
}

/// What this node's file says of its own seat, beside what is known of it.
enum Own {
    /// The same.
    InStep,
    /// Something new, which was made from what is known.
    Changed(Settings),
    /// Nothing new: the seat was changed on another node since.
    Behind(Settings),
    /// Both.
    Both(Settings),
}

impl Arranger {
    /// The configuration file is read again, and the files of seats that are held for other nodes.
    pub(super) async fn reload(&self, force: bool) -> Result<Vec<String>, OrderError> {
        let _turn = self.turn.lock().await;
        let source = self.source.clone();
        let read = move || config::read_again(&source).map_err(|errors| OrderError::BadConfig(errors.to_string()));
        let (text, doubts) = tokio::task::spawn_blocking(read).await.map_err(|_| OrderError::Stopping)??;
        let before = self.take_text(text);
        let reloaded = self.reload_taken(force, before.clone()).await;
        if reloaded.is_err() {
            self.take_text(before);
        }
        Ok([reloaded?, reload::doubts_in_words(&doubts)].concat())
    }

    /// What counts as this node's file from now on; returns what did.
    fn take_text(&self, text: String) -> String {
        std::mem::replace(&mut *self.own.lock().unwrap_or_else(PoisonError::into_inner), text)
    }

    async fn reload_taken(&self, force: bool, before: String) -> Result<Vec<String>, OrderError> {
        let this = self.clone();
        let edited = tokio::task::spawn_blocking(move || this.edited(force)).await;
        let edited = edited.map_err(|_| OrderError::Stopping)??;
        let copy = |(seat, settings): &(NodeName, Settings)| {
            let known = self.known().get(seat).cloned()?;
            Some(Copy { settings: settings.text().into(), ..known })
        };
        let changes = self.arrange_now(edited.iter().filter_map(copy).collect(), None, How::Reload { force }).await?;
        let this = self.clone();
        let write = move || {
            let mut written = 0;
            let all = edited.iter().try_for_each(|(seat, settings)| {
                this.store().write_settings(seat, settings)?;
                written += 1;
                Ok::<(), StoreError>(())
            });
            this.remember_import();
            if let Err(error) = this.store().write_drafts() {
                tracing::error!(error = %chain(&error), "what is known of seats could not be written down for people");
            }
            all.map_err(|error| (written, chain(&error)))
        };
        match tokio::task::spawn_blocking(write).await.map_err(|_| OrderError::Stopping)? {
            Ok(()) => Ok(changes),
            Err((0, why)) => {
                // What no disk has is not served.
                self.take_text(before);
                self.arrange_now(Vec::new(), None, How::Kept).await?;
                Err(OrderError::Refused(why))
            }
            Err((_, why)) => Ok([changes, vec![format!("a part of it could not be stored: {why}")]].concat()),
        }
    }

    /// What is new in this node's file as it begins to serve its seat; a file that is behind does not keep it from that.
    pub(super) async fn new_in_file(&self) -> Result<Option<Settings>, String> {
        let own = self.own_settings().map_err(|error| error.to_string())?;
        self.file_behind.store(matches!(own, Own::Behind(_) | Own::Both(_)), Relaxed);
        match own {
            Own::InStep => Ok(None),
            Own::Changed(settings) => Ok(Some(settings)),
            Own::Behind(_) | Own::Both(_) => {
                self.event("file_behind", true, self.behind()).await;
                Ok(None)
            }
        }
    }

    /// Has this node's file pairs of its own?
    pub(super) fn has_own_pairs(&self) -> bool {
        Settings::of(&self.own_text()).is_ok_and(|settings| !settings.names().0.is_empty())
    }

    /// What to do about a file that is behind.
    pub(super) fn behind(&self) -> String {
        format!(
            "this node's file is behind: its seat was changed on another node, or taken over without the file's last change, and that is what is served; \
             compare it with {}, and take that over, or put the file's in its place with `failback reload --force`",
            draft_path(&self.state_dir, &self.me).display()
        )
    }

    /// The settings that are to take the place of what is known.
    fn edited(&self, force: bool) -> Result<Vec<(NodeName, Settings)>, OrderError> {
        let mut edited = Vec::new();
        if let Some(settings) = self.edited_here(force)? {
            self.keeps_pairs(&self.me, &settings, force)?;
            edited.push((self.me.clone(), settings));
        }
        let seats: Vec<NodeName> = self.known().keys().cloned().collect();
        for seat in seats.into_iter().filter(|seat| *seat != self.me) {
            let found = self.store().edited_draft(&seat).map_err(|error| OrderError::BadConfig(chain(&error)))?;
            let Some(settings) = found else { continue };
            if !self.open_seats().contains(&seat) {
                // It is not to lie in wait for the day on which this node holds the seat.
                let kept = self.store().put_draft_back(&seat).map_err(|error| OrderError::BadConfig(chain(&error)))?;
                return Err(OrderError::Refused(format!(
                    "{} was edited, but this node does not hold seat {seat}: edit it on the node that does (`failback status`); what was \
                     written here is kept as {}",
                    draft_path(&self.state_dir, &seat).display(),
                    kept.display()
                )));
            }
            self.keeps_pairs(&seat, &settings, force)?;
            edited.push((seat, settings));
        }
        Ok(edited)
    }

    /// A file that lost its pairs would close all of a seat, on every node: an operator has to mean it.
    fn keeps_pairs(&self, seat: &NodeName, settings: &Settings, force: bool) -> Result<(), OrderError> {
        match self.known().get(seat).is_some_and(|known| is_emptied(known, settings)) && !force {
            true => Err(OrderError::Refused(format!(
                "no pair would be left of seat {seat}, here and on the nodes that copy it: put its `[pairs]` back, or reload with --force \
                 if that is meant"
            ))),
            false => Ok(()),
        }
    }

    fn edited_here(&self, force: bool) -> Result<Option<Settings>, OrderError> {
        let holds = self.open_seats().contains(&self.me);
        let own = self.own_settings()?;
        match own {
            Own::Changed(_) | Own::Both(_) if !holds && self.known().contains_key(&self.me) => {
                let why = "this node does not hold its seat: the routes, pairs and alerts in its file count again when it does; undo \
                           their change, or order `reverse` first";
                Err(OrderError::Refused(why.into()))
            }
            _ if !holds => Ok(None),
            Own::Changed(settings) => Ok(Some(settings)),
            Own::Behind(settings) | Own::Both(settings) if force => Ok(Some(settings)),
            Own::Both(_) => Err(OrderError::Refused(self.behind())),
            Own::Behind(_) => {
                self.file_behind.store(true, Relaxed);
                Ok(None)
            }
            Own::InStep => {
                self.file_behind.store(false, Relaxed);
                Ok(None)
            }
        }
    }

    fn own_settings(&self) -> Result<Own, OrderError> {
        let bad = |error: &dyn std::error::Error| OrderError::BadConfig(chain(error));
        let settings = Settings::of(&self.own_text()).map_err(|error| bad(&error))?;
        let Some(known) = self.known().get(&self.me).cloned() else { return Ok(Own::Changed(settings)) };
        let Some(head) = known.lineage.head() else { return Ok(Own::Changed(settings)) };
        if known.settings == settings.text() {
            return Ok(Own::InStep);
        }
        let imported: Option<Imported> =
            fs::read(self.imported_path()).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let Some(Imported { file, head: then }) = imported else { return Ok(Own::Both(settings)) };
        Ok(match (settings.revision(None) == file, then == *head) {
            (true, _) => Own::Behind(settings),
            (false, true) => Own::Changed(settings),
            (false, false) => Own::Both(settings),
        })
    }

    fn imported_path(&self) -> PathBuf {
        self.state_dir.join("seats").join("imported")
    }

    /// What the file says now is what is known now, or came before it.
    pub(super) fn remember_import(&self) {
        let imported = || {
            let settings = Settings::of(&self.own_text()).ok()?;
            let known = self.known().get(&self.me).cloned()?;
            (known.settings == settings.text()).then_some(())?;
            self.file_behind.store(false, Relaxed);
            serde_json::to_vec(&Imported { file: settings.revision(None), head: known.lineage.head()?.clone() }).ok()
        };
        if let Some(bytes) = imported()
            && let Err(error) = disk::replace(&self.imported_path(), &bytes)
        {
            tracing::warn!(%error, "how far the file was taken over could not be written down");
        }
    }
}

/// Had the seat pairs, and would it have none?
pub(super) fn is_emptied(known: &Copy, settings: &Settings) -> bool {
    settings.names().0.is_empty() && !Settings::received(known.settings.clone()).names().0.is_empty()
}
