//! The repository's files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// The text of the file at `path`, from the repository's root.
pub(crate) fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every Rust file of the repository, by its path.
pub(crate) fn rust_sources() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for folder in ["src", "tests", "bench", "fuzz"] {
        collect(folder, &mut found);
    }
    found
}

fn collect(folder: &str, found: &mut BTreeMap<String, String>) {
    // `bench/` and `fuzz/` need not be there.
    let Ok(entries) = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)) else { return };
    for entry in entries.map(|entry| entry.unwrap()) {
        let name = entry.file_name().into_string().unwrap();
        let path = format!("{folder}/{name}");
        if entry.file_type().unwrap().is_dir() {
            if name != "target" {
                collect(&path, found);
            }
        } else if name.ends_with(".rs") {
            let text = read(&path);
            found.insert(path, text);
        }
    }
}

/// The files that cargo compiles by itself: the others must be reached from them.
pub(crate) fn roots(sources: &BTreeMap<String, String>, manifest: &str) -> BTreeSet<String> {
    let by_layout = |path: &&String| {
        let parts: Vec<&str> = path.split('/').collect();
        matches!(parts[..], ["src", "lib.rs" | "main.rs"] | ["tests", _] | ["tests", _, "main.rs"] | ["fuzz", _, _])
    };
    let named = manifest.lines().filter_map(|line| line.trim().strip_prefix("path = \"")?.strip_suffix('"'));
    sources.keys().filter(by_layout).cloned().chain(named.map(Into::into)).collect()
}
