//! What is wrong with a configuration: where, why, and how to mend it.

use super::Config;
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// More findings than these are only counted: nobody mends more at once.
const MOST_TOLD: usize = 100;

/// Why there is no [`super::Config`].
#[derive(Debug, thiserror::Error)]
pub enum ConfigErrors {
    /// The file could not be read at all.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// None was named, and there is none in the usual places.
    #[error("there is no configuration file: neither {}; name one with -c FILE or FAILBACK_CONFIG", .0.join(" nor "))]
    Nowhere(&'static [&'static str]),
    /// Everything that is wrong with it, in the order of the file; a line each.
    #[error("{}", lines(.0))]
    Wrong(Vec<Finding>),
}

impl ConfigErrors {
    /// What was found; empty if the file could not be read.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Unreadable { .. } | Self::Nowhere(_) => &[],
            Self::Wrong(findings) => findings,
        }
    }
}

fn lines(findings: &[Finding]) -> String {
    let mut lines: Vec<_> = findings.iter().take(MOST_TOLD).map(Finding::to_string).collect();
    if findings.len() > MOST_TOLD {
        lines.push(format!("… and {} more", findings.len() - MOST_TOLD));
    }
    lines.join("\n")
}

/// One thing that is wrong. Printed as `FILE:LINE:COLUMN: KEY: REASON; MEND`, which editors can jump to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The key with its tables (`pairs.AGG_V.health.interval`); empty if the whole file is meant.
    pub key: String,
    /// What is wrong.
    pub reason: String,
    /// What to do about it.
    pub mend: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file.display(), self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}; {}", self.reason, self.mend)
    }
}

/// A place in the file: the key's path, and the byte at which the value (for a table: its key) starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) start: usize,
    pub(super) key: String,
}

/// Collects what is wrong, so that all of it is said in one go.
#[derive(Debug, Default)]
pub(super) struct Findings {
    wrong: Vec<(Place, String, String)>,
    doubtful: Vec<(Place, String, String)>,
    /// Which files are named where: what is in them is looked at later.
    pub(super) files: Vec<(Place, PathBuf)>,
    /// The files it names were looked for when it was taken: what became of them since is no mistake of this text.
    pub(super) blind: bool,
    /// It is the file of a node of this very host.
    pub(super) at_home: bool,
}

impl Findings {
    /// Adds one: where, what is wrong, what to do about it.
    /// A reason that would show what looks like a key does not.
    pub(super) fn add(&mut self, place: &Place, reason: impl Into<String>, mend: impl Into<String>) {
        let reason = Some(reason.into()).filter(|reason| !reason.contains("-----BEGIN"));
        let reason = reason.unwrap_or_else(|| "what stands here looks like a key or a certificate".into());
        self.wrong.push((place.clone(), reason, mend.into()));
    }

    /// Adds what may be meant and is worth a second look.
    pub(super) fn warn(&mut self, place: &Place, reason: impl Into<String>, mend: impl Into<String>) {
        self.doubtful.push((place.clone(), reason.into(), mend.into()));
    }

    /// `config`, with its warnings, if nothing is wrong.
    pub(super) fn or_warned(self, config: Config, text: &str, file: &Path) -> Result<Config, ConfigErrors> {
        if !self.wrong.is_empty() {
            return Err(self.into_errors(text, file));
        }
        Ok(Config { warnings: in_order(self.doubtful, text, file), ..config })
    }

    /// All that is wrong in `text`, in its order.
    pub(super) fn into_errors(self, text: &str, file: &Path) -> ConfigErrors {
        ConfigErrors::Wrong(in_order(self.wrong, text, file))
    }
}

fn in_order(mut found: Vec<(Place, String, String)>, text: &str, file: &Path) -> Vec<Finding> {
    found.sort();
    found.dedup();
    let finding = |(place, reason, mend): (Place, String, String)| {
        let (line, column) = line_and_column(text, place.start);
        Finding { file: file.into(), line, column, key: place.key, reason, mend }
    };
    found.into_iter().map(finding).collect()
}

pub(super) fn line_and_column(text: &str, start: usize) -> (usize, usize) {
    let before = text.get(..start).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// Of `known`, what was probably meant by `given`: at most a third of it differs, or one begins with the other.
pub(super) fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    let near = |known: &&str| {
        let lower = known.to_lowercase();
        let distance = strsim::damerau_levenshtein(&given, &lower);
        let extended = given.len() >= 3 && (lower.starts_with(&given) || given.starts_with(&lower));
        (distance <= (given.len().max(lower.len()) / 3).max(1) || extended).then_some(distance)
    };
    known.into_iter().filter_map(|name| Some((near(&name)?, name))).min().map(|(_, name)| name)
}

/// The mend for a name that is not one of `known`: the nearest, or all of them.
pub(super) fn suggest(given: &str, known: &[&str], what: &str) -> String {
    match nearest(given, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None if known.is_empty() => format!("there are no {what} here"),
        None => format!("the {what} here are: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_in_lines_and_characters() {
        let text = "a = 1\nä = \"ö\" # x\n";
        let at = |needle: &str| line_and_column(text, text.find(needle).unwrap());
        assert_eq!(at("a = 1"), (1, 1));
        assert_eq!(at("\"ö\""), (2, 5));
        assert_eq!(line_and_column(text, 1_000), (3, 1), "past the end is the end");
    }

    #[test]
    fn a_report_is_bounded() {
        let mut findings = Findings::default();
        for start in 0..1000 {
            findings.add(&Place { start, key: format!("key{start}") }, "wrong", "mend it");
        }
        let told = findings.into_errors(&"\n".repeat(1000), Path::new("failback.toml")).to_string();
        assert_eq!(told.lines().count(), MOST_TOLD + 1);
        assert!(told.ends_with("\n… and 900 more"), "{told}");
    }

    #[test]
    fn a_near_miss_finds_its_key_and_nonsense_finds_none() {
        let keys = ["interval", "fast_interval", "timeout", "backups", "address"];
        let meant = |given| nearest(given, keys);
        assert_eq!(meant("intervall"), Some("interval"));
        assert_eq!(meant("fast-interval"), Some("fast_interval"));
        assert_eq!(meant("Timeout"), Some("timeout"));
        assert_eq!(meant("backup"), Some("backups"));
        assert_eq!(meant("addr"), Some("address"));
        assert_eq!(meant("colour"), None);
    }
}
