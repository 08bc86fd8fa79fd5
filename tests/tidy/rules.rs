//! The rules. Each takes text and returns what it objects to.

use super::code::{code_only, without_tests};
use std::collections::{BTreeMap, BTreeSet};

/// Which rooms a room may use (`src/lib.rs` draws the same).
pub(crate) const ARROWS: &[(&str, &[&str])] = &[
    ("config", &["model"]),
    ("decide", &["model"]),
    ("observe", &["model", "decide"]),
    ("net", &["model", "observe"]),
    ("data", &["model", "net", "observe"]),
    ("control", &["model", "config", "decide", "net", "observe"]),
    ("cli", &["model", "config"]),
    ("demo", &["model"]),
    ("certs", &["model", "config", "net", "cli"]),
    ("model", &["all"]),
    ("app", &["all"]),
];
/// May use every room: who puts the program together.
const FREE: &[&str] = &["app", "lib", "main"];

/// Uses of other rooms that no arrow allows.
pub(crate) fn arrows(path: &str, code: &str) -> Vec<String> {
    let Some(inside) = path.strip_prefix("src/") else { return vec![] };
    let room = inside.trim_end_matches(".rs").split('/').next().unwrap_or_default();
    if FREE.contains(&room) {
        return vec![];
    }
    let mut allowed = vec![room];
    match ARROWS.iter().find(|(from, _)| *from == room) {
        Some((_, targets)) if room != "model" => allowed.extend(*targets),
        Some(_) => {}
        None => return vec![format!("`{room}` is no room of the house")],
    }
    let used = rooms_used(inside, code).into_iter().filter(|used| !allowed.contains(&used.as_str()));
    used.map(|used| format!("{room} may not use {used}")).collect()
}

/// The names right under the crate that `code` uses: by `crate::…`, or by as many `super::` as lead there.
fn rooms_used(inside: &str, code: &str) -> BTreeSet<String> {
    let squeezed: String =
        code.split_whitespace().collect::<Vec<_>>().join(" ").replace(" ::", "::").replace(":: ", "::");
    let depth = inside.split('/').count() - usize::from(inside.ends_with("/mod.rs"));
    let up = "super::".repeat(depth);
    let mut used = BTreeSet::new();
    for (from, strict) in [("crate::", false), (up.as_str(), true)] {
        for (at, _) in squeezed.match_indices(from) {
            let names = first_names(&squeezed[at + from.len()..]);
            // In a unit test's module the same `super::` leads to a neighbour, whose name is no room's.
            used.extend(names.into_iter().filter(|name| !strict || ARROWS.iter().any(|(room, _)| room == name)));
        }
    }
    used
}

/// `a` of `a::b`; `a` and `c` of `{a::{b}, c}`.
fn first_names(path: &str) -> Vec<String> {
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let mut names = vec![name(group.trim_start())];
    let mut depth = 0;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(name(group[at + 1..].trim_start())),
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The arrows as drawn in `src/lib.rs`: `room ──▶ room, room`, and `model ◀── all`.
pub(crate) fn drawn_arrows(lib: &str) -> Vec<(String, BTreeSet<String>)> {
    let mut drawn = Vec::new();
    for line in lib.lines().filter_map(|line| line.strip_prefix("//! ")) {
        for part in line.split("  ").map(str::trim).filter(|part| !part.is_empty()) {
            let arrow = part.split_once(" ──▶ ").or_else(|| part.split_once(" ◀── "));
            if let Some((room, targets)) = arrow {
                drawn.push((room.into(), targets.split(',').map(|target| target.trim().into()).collect()));
            }
        }
    }
    drawn
}

const IMPURE: &[&str] = &[
    "Instant",
    "SystemTime",
    "tokio",
    "tracing",
    "std::fs",
    "std::io",
    "std::env",
    "std::thread",
    "std::process",
    "socket2",
    "TcpStream",
    "TcpListener",
    "rustix",
    "HashMap",
    "HashSet",
    "Mutex",
    "RwLock",
    "thread_rng",
    "println!",
    "eprintln!",
    "async",
    "static mut",
    "OnceLock",
    "LazyLock",
];

/// What a pure machine can't contain. Its unit tests may.
pub(crate) fn impurities(code: &str) -> Vec<String> {
    let code = without_tests(code);
    let found = IMPURE.iter().filter(|word| has_word(code, word));
    found.map(|word| format!("`{word}` in a pure machine")).collect()
}

fn has_word(code: &str, word: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    code.match_indices(word)
        .any(|(at, _)| !part(code[..at].chars().next_back()) && !part(code[at + word.len()..].chars().next()))
}

const LONGEST_FILE: usize = 400;
const LONGEST_FUNCTION: usize = 80;

/// Files and functions nobody wants to read.
pub(crate) fn too_long(text: &str) -> Vec<String> {
    let mut objections = Vec::new();
    let lines = text.lines().count();
    if lines > LONGEST_FILE {
        objections.push(format!("{lines} lines"));
    }
    let code = code_only(text);
    for (at, _) in code.match_indices("fn ").filter(|(at, _)| has_word(&code[at.saturating_sub(1)..at + 3], "fn")) {
        let name: String = code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let length = function_lines(&code[at..]);
        if !name.is_empty() && length > LONGEST_FUNCTION {
            objections.push(format!("`{name}` has {length} lines"));
        }
    }
    objections
}

/// Lines from `fn` to its closing brace; 0 if it has no body.
fn function_lines(from: &str) -> usize {
    let Some(body) = from.find(['{', ';']).filter(|at| from[*at..].starts_with('{')) else { return 0 };
    let mut depth = 0;
    for (at, c) in from[body..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return from[..=body + at].lines().count();
        }
    }
    from.lines().count()
}

/// Marks of work not done, and tests that don't run.
pub(crate) fn left_undone(text: &str) -> Vec<String> {
    let marks = ["TODO", "FIXME", "XXX", "todo!", "unimplemented!", "#[ignore"];
    let found = text.lines().enumerate().flat_map(|(number, line)| {
        marks.iter().filter(|mark| line.contains(**mark)).map(move |mark| format!("line {}: {mark}", number + 1))
    });
    found.collect()
}

/// `allow` and `expect` attributes that don't say why.
pub(crate) fn allowed_without_reason(code: &str) -> Vec<String> {
    let mut objections = Vec::new();
    for opening in ["[allow(", "[expect("] {
        for (at, _) in code.match_indices(opening) {
            let attribute = code[at..].split(']').next().unwrap_or_default();
            if !attribute.contains("reason") {
                objections.push(format!("{} without a reason", &attribute[1..]));
            }
        }
    }
    objections
}

/// Files that no `mod` leads to.
pub(crate) fn dead_files(sources: &BTreeMap<String, String>, roots: &BTreeSet<String>) -> Vec<String> {
    let mut alive = BTreeSet::new();
    let mut ahead: Vec<String> = roots.iter().cloned().collect();
    while let Some(path) = ahead.pop() {
        if let Some(text) = sources.get(&path)
            && alive.insert(path.clone())
        {
            ahead.extend(modules(&path, text, roots.contains(&path)));
        }
    }
    sources.keys().filter(|path| !alive.contains(*path)).cloned().collect()
}

/// Where the modules that `text` declares may be.
fn modules(path: &str, text: &str, is_root: bool) -> Vec<String> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let own = path.trim_end_matches(".rs");
    let below = if is_root || own.ends_with("/mod") { folder } else { own };
    let mut found = Vec::new();
    let mut named = None;
    for line in text.lines().map(str::trim) {
        if let Some(file) = line.strip_prefix("#[path = \"").and_then(|rest| rest.strip_suffix("\"]")) {
            named = Some(join(folder, file));
        } else if let Some(module) = line.strip_suffix(';').and_then(|line| line.rsplit_once("mod ")).map(|(_, m)| m) {
            let usual = || vec![format!("{below}/{module}.rs"), format!("{below}/{module}/mod.rs")];
            found.extend(named.take().map_or_else(usual, |file| vec![file]));
        }
    }
    found
}

fn join(folder: &str, file: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').collect();
    for part in file.split('/') {
        match part {
            ".." => parts.truncate(parts.len().saturating_sub(1)),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

pub(crate) const REQUIREMENTS: &[&str] = &[
    "n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9", "n10", "n11", "x1", "x2", "x3", "x4", "x5", "x6", "x8", "b1",
    "b2", "b3", "b4", "b5", "b6", "b7", "b8", "b9", "b10", "b11", "b12", "b13", "b14", "b15", "b16", "g1", "g2", "g3",
    "g4", "g5", "g6", "g7", "g8", "g9", "g10", "g11", "g12",
];

/// Requirements that no test's name begins with, as in `fn n4_the_signal_arrives_…`.
pub(crate) fn requirements_without_test<'a>(sources: impl Iterator<Item = &'a String>) -> Vec<&'static str> {
    let mut named = BTreeSet::new();
    for text in sources {
        let mut marked = false;
        for line in text.lines().map(str::trim) {
            let name = line.split_once("fn ").map(|(_, rest)| rest.split('(').next().unwrap_or_default());
            if let Some(name) = name {
                named.extend(name.split('_').filter(|_| marked).map(str::to_owned));
            }
            marked = line.contains("test]") || line.contains("test(") || (marked && line.starts_with("#["));
        }
    }
    REQUIREMENTS.iter().copied().filter(|id| !named.contains(*id)).collect()
}

/// The command in the first code block below the README's heading about tests.
pub(crate) fn test_command(readme: &str) -> Option<&str> {
    let (_, section) = readme.split_once("\n## Tests\n")?;
    section.split("```").nth(1)?.lines().nth(1)
}

/// The lines of a script that do something.
pub(crate) fn commands(script: &str) -> Vec<&str> {
    script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}
