//! What of a configuration file belongs to the seat and travels, and what is the node's own and never does.

use crate::model::revision::Revision;
use aws_lc_rs::digest::{Context, SHA256, SHA256_OUTPUT_LEN};
use toml::Table;

/// The tables that travel (design §4); all others are a node's own.
const TRAVELS: [&str; 3] = ["alerts", "pairs", "routes"];

/// It is no TOML; what is wrong with it is for whoever reads it as a configuration to say.
#[derive(Debug, thiserror::Error)]
#[error("the configuration is no TOML")]
pub struct Unreadable(#[from] toml::de::Error);

/// A seat's settings: the part of the configuration that is the same on whichever node serves it. Always written alike, so that
/// what means the same has one digest, whatever comments and order the file has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings(String);

impl Settings {
    /// Those in a configuration file's text.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn of(text: &str) -> Result<Self, Unreadable> {
        let whole: Table = text.parse()?;
        let part: Table = whole.into_iter().filter(|(key, _)| TRAVELS.contains(&key.as_str())).collect();
        Ok(Self(part.to_string()))
    }

    /// Those that came from another node, as text.
    #[must_use]
    pub fn received(text: String) -> Self {
        Self(text)
    }

    /// As TOML.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The revision that they are if they were made from `parent`.
    #[must_use]
    pub fn revision(&self, parent: Option<&Revision>) -> Revision {
        let mut hash = Context::new(&SHA256);
        hash.update(parent.map_or([0; SHA256_OUTPUT_LEN], |parent| *parent.digest()).as_slice());
        hash.update(self.0.as_bytes());
        let mut digest = [0; SHA256_OUTPUT_LEN];
        digest.copy_from_slice(hash.finish().as_ref());
        Revision::of_digest(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "[node]\nname = \"A\"\n[admin]\nlisten = \"127.0.0.1:1\"\n";
    const SEAT: &str = "[pairs.V]\nprimary = { name = \"P\", address = \"10.0.0.1:1\" }\n[routes.r]\nlisten = \"10.0.0.9:1\"\n\
                        pair = \"V\"\n[alerts]\nsignal_overdue_after = \"30m\"\n";

    #[test]
    fn what_is_the_nodes_own_never_travels() {
        let settings = Settings::of(&format!("{OWN}{SEAT}[group]\nrole = \"primary\"\n")).unwrap();
        for own in ["node", "admin", "group", "127.0.0.1"] {
            assert!(!settings.text().contains(own), "{own} in {}", settings.text());
        }
        for seats in ["pairs", "routes", "alerts"] {
            assert!(settings.text().contains(seats), "no {seats} in {}", settings.text());
        }
    }

    #[test]
    fn what_means_the_same_has_one_revision_and_each_change_another() {
        let plain = Settings::of(SEAT).unwrap();
        let commented =
            Settings::of(&format!("# why\n{OWN}{}", SEAT.replace("[alerts]", "\n\n[alerts] # mails"))).unwrap();
        assert_eq!(plain.revision(None), commented.revision(None));
        let first = plain.revision(None);
        assert_ne!(plain.revision(Some(&first)), first, "the way there counts");
        assert_ne!(Settings::of(&SEAT.replace("30m", "31m")).unwrap().revision(None), first);
    }
}
