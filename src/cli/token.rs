//! The secret a client sends: from `--token-file`, else from `FAILBACK_TOKEN`.

use anyhow::{Context, bail};
use std::path::Path;

/// The secret to send, if one is given.
pub(super) fn secret(file: Option<&Path>) -> anyhow::Result<Option<String>> {
    let Some(file) = file else {
        return Ok(std::env::var("FAILBACK_TOKEN").ok().filter(|secret| !secret.is_empty()));
    };
    let text = std::fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
    match pick(&text) {
        Some(secret) => Ok(Some(secret.into())),
        None => bail!("{} holds no token", file.display()),
    }
}

/// A secret alone, or the most powerful line of a node's own tokens file.
fn pick(text: &str) -> Option<&str> {
    let lines: Vec<&str> =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let operate = lines.iter().find(|line| line.split(':').nth(1) == Some("operate"));
    // Secrets have no `:`, so the last one of a line begins the secret.
    operate.or_else(|| lines.first()).map(|line| line.rsplit_once(':').map_or(*line, |(_, secret)| secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_alone_and_a_nodes_own_file_both_work() {
        assert_eq!(pick("s3cret\n"), Some("s3cret"));
        assert_eq!(pick("# agg\nagg:resync:AGG_V:abc\n"), Some("abc"));
        assert_eq!(pick("mon:read:abc\nops:operate:def\n"), Some("def"));
        assert_eq!(pick("\n# nothing\n"), None);
    }
}
