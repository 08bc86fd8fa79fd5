//! Each rule objects to what it forbids, and to nothing else.

use super::{code::code_only, files, rules::*};
use std::collections::{BTreeMap, BTreeSet};

fn nothing() -> Vec<String> {
    vec![]
}

#[test]
fn an_arrow_against_the_drawing_is_seen_however_it_is_written() {
    let seen = |path: &str, source: &str| arrows(path, &code_only(source));
    assert_eq!(seen("src/data/relay.rs", "use crate::control::Orders;"), ["data may not use control"]);
    assert_eq!(seen("src/control/driver.rs", "let x = crate::data::spawn();"), ["control may not use data"]);
    let group = "use crate::{\n    model::{Side, control},\n    data::session,\n};";
    assert_eq!(seen("src/control/driver.rs", group), ["control may not use data"]);
    assert_eq!(seen("src/decide/mod.rs", "use super::observe;"), ["decide may not use observe"]);
    assert_eq!(seen("src/decide/pair.rs", "use super::super::net::dial;"), ["decide may not use net"]);
    assert_eq!(seen("src/model/mod.rs", "use crate::config::Config;"), ["model may not use config"]);
    assert_eq!(seen("src/attic/mod.rs", ""), ["`attic` is no room of the house"]);
}

#[test]
fn arrows_of_the_drawing_are_allowed() {
    let seen = |path: &str, source: &str| arrows(path, &code_only(source));
    let group = "use crate::{decide::{input, effect}, model::Side, net, observe::event::EventLog};";
    assert_eq!(seen("src/control/driver.rs", group), nothing());
    assert_eq!(
        seen("src/decide/pair.rs", "use super::input::Input; // crate::net\nlet s = \"crate::net\";"),
        nothing()
    );
    assert_eq!(seen("src/app.rs", "use crate::{data, control};"), nothing());
    assert_eq!(seen("tests/x.rs", "use failback::data;"), nothing());
}

#[test]
fn an_arrow_drawn_is_an_arrow_read() {
    let drawn = drawn_arrows("//!   model ◀── all        net ──▶ model, observe\n//! prose ──▶\n");
    let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(drawn, [("model".into(), set(&["all"])), ("net".into(), set(&["model", "observe"]))]);
}

#[test]
fn a_clock_in_a_machine_is_seen() {
    assert_eq!(impurities("use std::time::Instant;").len(), 1);
    assert_eq!(impurities("let m = HashMap::new();\ntokio::spawn(x);").len(), 2);
    assert_eq!(impurities("struct Instantly; let tokio_like = 1;"), nothing());
    assert_eq!(impurities("fn f() {}\n#[cfg(test)]\nmod tests { use std::collections::HashMap; }"), nothing());
}

#[test]
fn a_long_file_and_a_long_function_are_seen() {
    assert_eq!(too_long(&"\n".repeat(401)), ["401 lines"]);
    let function = |lines: usize| format!("fn long() -> u8 {{\n{}}}\n", "    f({ 1 });\n".repeat(lines - 2));
    assert_eq!(too_long(&function(81)), ["`long` has 81 lines"]);
    assert_eq!(too_long(&function(80)), nothing());
    assert_eq!(too_long(&format!("trait T {{ fn short(&self); }}\n{}", "// x\n".repeat(200))), nothing());
}

#[test]
fn what_is_left_undone_is_seen() {
    assert_eq!(left_undone("a\n// TODO: b"), ["line 2: TODO"]);
    assert_eq!(left_undone("#[ignore = \"slow\"]").len(), 1);
    assert_eq!(left_undone("fn todo_list() {}"), nothing());
}

#[test]
fn an_exception_without_a_reason_is_seen() {
    assert_eq!(allowed_without_reason("#[allow(dead_code)]").len(), 1);
    assert_eq!(allowed_without_reason("#![allow(clippy::x, reason = \" \")]"), nothing());
}

#[test]
fn a_dead_file_is_seen() {
    let files = [
        ("src/lib.rs", "pub mod a;\n#[cfg(test)]\n#[path = \"../tests/shared/mod.rs\"]\nmod shared;"),
        ("src/a.rs", "mod b;"),
        ("src/a/b.rs", ""),
        ("src/a/dead.rs", "mod b;"),
        ("tests/shared/mod.rs", "mod inner;"),
        ("tests/shared/inner.rs", ""),
    ];
    let sources: BTreeMap<String, String> = files.map(|(path, text)| (path.into(), text.into())).into();
    let roots = files::roots(&sources, "[[bin]]\nname = \"x\"\npath = \"bench/x.rs\"\n");
    assert_eq!(roots, BTreeSet::from(["src/lib.rs".to_owned(), "bench/x.rs".to_owned()]));
    assert_eq!(dead_files(&sources, &roots), ["src/a/dead.rs"]);
}

#[test]
fn a_requirement_without_a_test_is_seen() {
    let all = REQUIREMENTS.iter().filter(|id| **id != "n11");
    let mut text: String = all.map(|id| format!("#[test]\nfn {id}_story() {{\n}}\n")).collect();
    assert_eq!(requirements_without_test([&text].into_iter()), ["n11"]);
    text += "fn n11_is_no_test() {}\n";
    assert_eq!(requirements_without_test([&text].into_iter()), ["n11"]);
    text += "#[tokio::test(flavor = \"current_thread\")]\nasync fn n11_is_one() {}\n";
    assert_eq!(requirements_without_test([&text].into_iter()), Vec::<&str>::new());
}

#[test]
fn the_test_command_is_the_first_under_its_heading() {
    assert_eq!(test_command("# x\n```sh\na\n```\n## Tests\n\n```sh\nscripts/test\n```\n"), Some("scripts/test"));
    assert_eq!(test_command("# x\n"), None);
    assert_eq!(commands("#!/bin/sh\n# why\nset -e\n\n  run it\n"), ["set -e", "run it"]);
}
