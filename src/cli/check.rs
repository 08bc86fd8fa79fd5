//! `failback check`, and which configuration file is meant.

use super::{ConfigArgs, Deeper, write};
use crate::config::{self, Config, ConfigErrors};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Where the configuration is looked for if nothing is said, in this order.
const PLACES: [&str; 2] = ["failback.toml", "/etc/failback/failback.toml"];

impl ConfigArgs {
    /// The file given, else the first of the usual places where there is one, else the last of them.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        let usual = || PLACES.iter().map(Path::new).find(|path| path.exists()).unwrap_or(Path::new(PLACES[1]));
        self.config.clone().unwrap_or_else(|| usual().into())
    }
}

pub(super) fn check(config: &ConfigArgs, schema: bool, as_json: bool, deeper: Deeper) -> anyhow::Result<()> {
    if schema {
        return write(&format!("{:#}\n", config::schema()));
    }
    let path = config.path();
    match config::load(&path).and_then(|config| deeper(&config).map(|()| config)) {
        Ok(config) if as_json => write(&format!(
            "{}\n",
            json!({ "file": path, "good": true, "findings": [] , "pairs": config.pairs.len(), "routes": config.routes.len() })
        )),
        Ok(config) => write(&praise(&path, &config)),
        Err(errors) => {
            if as_json {
                write(&format!("{}\n", json!({ "file": path, "good": false, "findings": findings(&errors) })))?;
            }
            Err(errors.into())
        }
    }
}

fn praise(path: &Path, config: &Config) -> String {
    let count = super::show::words::count;
    let (pairs, routes) = (count(config.pairs.len() as u64, "pair"), count(config.routes.len() as u64, "route"));
    format!("{} is good: {pairs}, {routes}\n", path.display())
}

fn findings(errors: &ConfigErrors) -> Vec<Value> {
    match errors {
        ConfigErrors::Unreadable { .. } => vec![json!({ "reason": errors.to_string() })],
        ConfigErrors::Files(words) => words.iter().map(|words| json!({ "reason": words })).collect(),
        ConfigErrors::Wrong(findings) => findings
            .iter()
            .map(|it| {
                json!({ "line": it.line, "column": it.column, "key": it.key, "reason": it.reason, "mend": it.mend })
            })
            .collect(),
    }
}
