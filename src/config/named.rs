//! Where the configuration names files, so that what is wrong in one of them is told with its place like any other mistake.

use super::{
    Config, Finding,
    error::{Place, line_and_column},
};
use std::path::{Path, PathBuf};

/// A file that the configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// The file.
    pub path: PathBuf,
    /// The key with its tables (`pairs.AGG_V.tls.ca`).
    pub key: String,
    /// Line of the value, from 1.
    pub line: usize,
    /// Column of the value in characters, from 1.
    pub column: usize,
}

impl NamedFile {
    pub(super) fn new(place: Place, path: PathBuf, text: &str) -> Self {
        let (line, column) = line_and_column(text, place.start);
        Self { path, key: place.key, line, column }
    }
}

impl Config {
    /// What is wrong in `file`, told where the table `within` (`["pairs", "AGG_V"]`) names it.
    #[must_use]
    pub fn finding(&self, within: &[&str], file: Option<&Path>, reason: String, mend: &str) -> Finding {
        let table = within.iter().fold(Place::default(), |outer, key| outer.child(key, 0)).key;
        let inside = |key: &str| key.strip_prefix(&*table).is_some_and(|rest| rest.starts_with('.'));
        let named = self.files.iter().find(|named| file == Some(&*named.path) && inside(&named.key));
        let (key, line, column) = named.map_or((table, 1, 1), |named| (named.key.clone(), named.line, named.column));
        Finding { file: self.source.clone(), line, column, key, reason, mend: mend.into() }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::parse;

    #[test]
    fn a_file_is_found_where_its_own_table_names_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), "").unwrap();
        let pair = |name: &str| {
            format!("[pairs.{name}]\nprimary = {{ name = \"P\", address = \"p:1\" }}\ntls = {{ ca = \"ca.pem\" }}\n")
        };
        let text = format!("{}{}", pair("AGG"), pair("\"AGG.V\""));
        let config = parse(&text, &dir.path().join("failback.toml")).unwrap();
        let file = dir.path().join("ca.pem");
        let told =
            |name: &str, file| config.finding(&["pairs", name], file, "it is empty".into(), "fill it").to_string();
        assert!(told("AGG", Some(&*file)).ends_with("failback.toml:3:14: pairs.AGG.tls.ca: it is empty; fill it"));
        assert!(told("AGG.V", Some(&*file)).ends_with(":6:14: pairs.\"AGG.V\".tls.ca: it is empty; fill it"));
        assert!(told("AGG", None).ends_with(":1:1: pairs.AGG: it is empty; fill it"));
    }
}
