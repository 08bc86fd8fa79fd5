//! `failback check`, and which configuration file is meant.

use super::{ConfigArgs, Deeper, write};
use crate::config::{self, Config, ConfigErrors, Finding};
use serde_json::{Value, json};
use std::{
    io::Write,
    path::{Path, PathBuf},
};

/// Where the configuration is looked for if nothing is said, in this order.
const PLACES: &[&str] = &["failback.toml", "/etc/failback/failback.toml"];

impl ConfigArgs {
    /// The file given, else the first of the usual places where there is one.
    ///
    /// # Errors
    /// None is given, and none is there.
    pub fn path(&self) -> Result<PathBuf, ConfigErrors> {
        let usual = || PLACES.iter().map(PathBuf::from).find(|path| path.exists());
        self.config.clone().or_else(usual).ok_or(ConfigErrors::Nowhere(PLACES))
    }
}

pub(super) fn check(config: &ConfigArgs, schema: bool, as_json: bool, deeper: Deeper) -> anyhow::Result<()> {
    if schema {
        return write(&format!("{:#}\n", config::schema()));
    }
    let path = config.path();
    let load = |path: PathBuf| {
        let config = config::load(&path)?;
        let warnings = [config.warnings.clone(), deeper(&config)?].concat();
        Ok((path, config, warnings))
    };
    let file = path.as_ref().ok().cloned();
    match path.and_then(load) {
        Ok((path, config, warnings)) if as_json => write(&format!(
            "{}\n",
            json!({
                "file": path, "good": true, "findings": [], "warnings": warnings.iter().map(shown).collect::<Vec<_>>(),
                "pairs": config.pairs.len(), "routes": config.routes.len()
            })
        )),
        Ok((path, config, warnings)) => {
            for it in &warnings {
                let place = format!("{}:{}:{}", it.file.display(), it.line, it.column);
                // Without stderr there is nobody to tell.
                let _ = writeln!(anstream::stderr(), "{place}: warning: {}: {}; {}", it.key, it.reason, it.mend);
            }
            write(&praise(&path, &config))
        }
        Err(errors) => {
            if as_json {
                write(&format!("{}\n", json!({ "file": file, "good": false, "findings": findings(&errors) })))?;
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
        ConfigErrors::Unreadable { .. } | ConfigErrors::Nowhere(_) => vec![json!({ "reason": errors.to_string() })],
        ConfigErrors::Wrong(findings) => findings.iter().map(shown).collect(),
    }
}

fn shown(it: &Finding) -> Value {
    json!({ "line": it.line, "column": it.column, "key": it.key, "reason": it.reason, "mend": it.mend })
}
