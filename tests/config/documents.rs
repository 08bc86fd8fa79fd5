//! What the documentation shows loads, and it shows everything.

use super::loads::PAIR;
use failback::config::parse;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Every block of TOML in the documentation is a whole file, or becomes one with a pair around it.
#[test]
fn every_configuration_in_the_documentation_loads() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["admin.token", "hook.token", "smtp.password"] {
        fs::write(folder.path().join(file), "ops:operate:secret\n").unwrap();
    }
    let pairing_key = folder.path().join("pairing.key");
    fs::write(&pairing_key, "the secret of the documentation\n").unwrap();
    fs::set_permissions(&pairing_key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    fs::create_dir(folder.path().join("certs")).unwrap();
    for file in ["ca.pem", "AGG_V.pem", "AGG_V.key", "AGG_P.pem", "AGG_P.key", "proxy.pem", "proxy.key"] {
        fs::write(folder.path().join("certs").join(file), "").unwrap();
    }
    let mut tried = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for block in text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
            let loaded = parse(&whole(block), &folder.path().join("failback.toml"));
            assert!(loaded.is_ok(), "{}: {}\n\n{block}", page.display(), loaded.unwrap_err());
            tried += 1;
        }
    }
    assert!(tried >= 10, "only {tried} blocks were found");
}

fn whole(block: &str) -> String {
    let first = block.lines().find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or_default();
    // A block in a list is indented.
    if !first.trim_start().starts_with('[') {
        format!("{PAIR}{block}")
    } else if block.contains("[pairs.") {
        block.to_owned()
    } else {
        format!("{block}\n{PAIR}")
    }
}

#[test]
fn every_key_has_its_row_in_the_documentation() {
    let page = fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    for key in super::schema::every_key() {
        let shown = [
            format!("\n| `{key}` |"),
            format!("`[{key}]`"),
            format!("`[{key}."),
            format!("### `{key}`"),
            format!("{{ {key}"),
            format!(", {key} }}"),
        ];
        assert!(shown.iter().any(|form| page.contains(form)), "docs/configuration.md does not explain `{key}`");
    }
}

/// With `--help` at its end a command does nothing, and is still refused for a word or option that does not exist.
#[test]
fn every_command_in_the_documentation_exists() {
    let mut tried = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for command in code(&text).into_iter().filter_map(|code| code.strip_prefix("failback ")) {
            if command.starts_with('=') {
                continue;
            }
            let command = command.split(['#', '|', '>', '\n']).next().unwrap();
            let command = command.replace("SHELL", "bash").replace("SIDE", "backup").replace("ACTION", "pause");
            let program = env!("CARGO_BIN_EXE_failback");
            let shown = Command::new(program).args(command.split_whitespace()).arg("--help").output().unwrap();
            let said = String::from_utf8_lossy(&shown.stderr);
            assert!(shown.status.success(), "{}: failback {command}: {said}", page.display());
            tried += 1;
        }
    }
    assert!(tried >= 20, "only {tried} commands were found");
}

#[test]
fn links_between_documents_lead_somewhere() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for target in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if !target.starts_with("http") {
                let path = page.parent().unwrap().join(target.split('#').next().unwrap());
                assert!(path.exists(), "{} links to {target}, which is not there", page.display());
            }
        }
    }
}

#[test]
fn prometheus_takes_the_alert_rules_of_the_documentation() {
    let page = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let (_, rules) = page.split_once("```yaml\n").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yml");
    fs::write(&file, rules.split("```").next().unwrap()).unwrap();
    let checked = Command::new("promtool").args(["check", "rules"]).arg(&file).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

/// The lines of a page's blocks of code, and what stands between backticks in its prose.
fn code(page: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut in_block = false;
    for line in page.lines() {
        match line.starts_with("```") {
            true => in_block = !in_block,
            false if in_block => found.push(line),
            false => found.extend(line.split('`').skip(1).step_by(2)),
        }
    }
    found
}

fn pages() -> Vec<PathBuf> {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let own = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"].map(|page| root().join(page));
    docs.chain(own).filter(|page| page.extension().is_some_and(|extension| extension == "md")).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).into()
}
