//! Revisions of a seat's settings form a chain (design §4): each is named by a digest over what it holds and over the one it was
//! made from. What does not descend from what a node has is refused, so an empty primary node can't wipe its backups.

use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
};

/// How far back a lineage is remembered.
const KEPT: usize = 1_000;

/// The name of one revision: 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Revision([u8; 32]);

impl Revision {
    /// That with this digest.
    #[must_use]
    pub fn of_digest(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest itself.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.0
    }
}

/// It is not 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a revision is 64 hexadecimal digits")]
pub struct NoRevision;

impl TryFrom<String> for Revision {
    type Error = NoRevision;

    fn try_from(text: String) -> Result<Self, NoRevision> {
        let mut digest = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(NoRevision);
        }
        for (byte, digits) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| NoRevision)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| NoRevision)?;
        }
        Ok(Self(digest))
    }
}

impl From<Revision> for String {
    fn from(revision: Revision) -> Self {
        revision.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for Revision {
    /// The first twelve digits, which is what people compare.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..6].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The revisions that led to the newest one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lineage(VecDeque<Revision>);

impl Lineage {
    /// The newest.
    #[must_use]
    pub fn head(&self) -> Option<&Revision> {
        self.0.back()
    }

    /// The one it was made from.
    #[must_use]
    pub fn parent(&self) -> Option<&Revision> {
        self.0.iter().rev().nth(1)
    }

    /// Adds one made from the newest. The oldest are forgotten.
    pub fn push(&mut self, revision: Revision) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(revision);
    }

    /// Have they a revision in common?
    #[must_use]
    pub fn is_related_to(&self, other: &Self) -> bool {
        let known: BTreeSet<&Revision> = self.0.iter().collect();
        other.0.iter().any(|revision| known.contains(revision))
    }

    /// Was the newest made, over however many steps, from the other's newest, or is it the same? Whatever there is descends
    /// from nothing.
    #[must_use]
    pub fn descends_from(&self, other: &Self) -> bool {
        other.head().is_none_or(|head| self.0.contains(head))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lineage(numbers: &[u8]) -> Lineage {
        let mut lineage = Lineage::default();
        numbers.iter().for_each(|number| lineage.push(Revision([*number; 32])));
        lineage
    }

    #[test]
    fn what_goes_on_from_what_is_known_descends_and_what_began_anew_does_not() {
        let known = lineage(&[1, 2]);
        assert!(lineage(&[1, 2, 3]).descends_from(&known));
        assert!(known.descends_from(&known));
        assert!(known.descends_from(&Lineage::default()));
        assert!(!lineage(&[9]).descends_from(&known), "a reinstalled node");
        assert!(!lineage(&[1]).descends_from(&known), "a copy from before");
        assert!(!lineage(&[1, 3]).descends_from(&known), "changed on both sides");
        assert!(!Lineage::default().descends_from(&known), "an empty one");
    }

    #[test]
    fn what_has_a_beginning_in_common_is_related() {
        assert!(lineage(&[1, 3]).is_related_to(&lineage(&[1, 2])));
        assert!(!lineage(&[9]).is_related_to(&lineage(&[1, 2])));
        assert!(!lineage(&[9]).is_related_to(&Lineage::default()));
    }

    #[test]
    fn a_revision_is_written_and_read_as_hexadecimal_digits() {
        let revision = Revision([0xa7; 32]);
        let text = serde_json::to_string(&revision).unwrap();
        assert_eq!(text, format!("\"{}\"", "a7".repeat(32)));
        assert_eq!(serde_json::from_str::<Revision>(&text).unwrap(), revision);
        for wrong in ["", "a7", &"g7".repeat(32), &"é".repeat(32)] {
            assert!(Revision::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
        assert_eq!(revision.to_string(), "a7a7a7a7a7a7");
    }

    #[test]
    fn a_lineage_is_bounded() {
        let mut long = Lineage::default();
        (0..3_000_u32).for_each(|number| long.push(Revision(std::array::from_fn(|at| number.to_le_bytes()[at % 4]))));
        assert_eq!(long.0.len(), KEPT);
    }
}
