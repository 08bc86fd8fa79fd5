//! The rules of the house that a program can check, applied to the repository; `tidy/rules.rs` has the rules
//! themselves, `tidy/proofs.rs` proves that each objects to what it forbids.

#[cfg(test)]
#[path = "tidy/code.rs"]
mod code;
#[cfg(test)]
#[path = "tidy/files.rs"]
mod files;
#[cfg(test)]
#[path = "tidy/proofs.rs"]
mod proofs;
#[cfg(test)]
#[path = "tidy/rules.rs"]
mod rules;

#[cfg(test)]
mod the_repository {
    use super::{code::code_only, files, rules};
    use std::collections::BTreeSet;

    /// Applies `rule` to every Rust file and shows all that it objects to.
    #[track_caller]
    fn holds(rule: impl Fn(&str, &str) -> Vec<String>) {
        let sources = files::rust_sources();
        assert!(sources.len() > 30, "only {} files were found", sources.len());
        let objections: Vec<String> = sources
            .iter()
            .flat_map(|(path, text)| rule(path, text).into_iter().map(move |objection| format!("{path}: {objection}")))
            .collect();
        assert!(objections.is_empty(), "\n{}", objections.join("\n"));
    }

    #[test]
    fn arrows_between_rooms_go_one_way() {
        holds(|path, text| rules::arrows(path, &code_only(text)));
    }

    #[test]
    fn the_drawing_of_the_arrows_is_the_rule() {
        let lib = files::read("src/lib.rs");
        for (room, targets) in rules::ARROWS {
            let drawn = rules::drawn_arrows(&lib).into_iter().find(|(from, _)| from == room);
            let expected: BTreeSet<String> = targets.iter().map(|&target| target.into()).collect();
            assert_eq!(drawn.map(|(_, to)| to), Some(expected), "src/lib.rs draws `{room}` differently");
        }
    }

    #[test]
    fn decisions_are_pure() {
        holds(|path, text| if path.starts_with("src/decide/") { rules::impurities(&code_only(text)) } else { vec![] });
    }

    #[test]
    fn files_and_functions_are_short() {
        holds(|_, text| rules::too_long(text));
    }

    #[test]
    fn nothing_is_left_undone() {
        holds(|path, text| if path.starts_with("tests/tidy") { vec![] } else { rules::left_undone(text) });
    }

    #[test]
    fn exceptions_have_reasons() {
        holds(|_, text| rules::allowed_without_reason(&code_only(text)));
    }

    #[test]
    fn no_file_is_dead() {
        let sources = files::rust_sources();
        let roots = files::roots(&sources, &files::read("Cargo.toml"));
        assert_eq!(rules::dead_files(&sources, &roots), Vec::<String>::new());
    }

    #[test]
    fn every_requirement_is_named_by_a_test() {
        let sources = files::rust_sources();
        assert_eq!(rules::requirements_without_test(sources.values()), Vec::<&str>::new());
    }

    #[test]
    fn the_readmes_test_command_is_what_ci_runs() {
        let (readme, ci) = (files::read("README.md"), files::read(".ci/run"));
        assert_eq!(rules::test_command(&readme), Some("scripts/test"));
        assert_eq!(rules::commands(&ci), ["set -euo pipefail", "cd \"$(dirname \"$0\")/..\"", "scripts/test"]);
    }
}
