//! A seat's settings are changed while another node holds it.

use crate::{
    common::eventually,
    node::{Node, Wishes},
    rig::{Rig, SHARED, seat},
};
use std::{fs, path::PathBuf};

/// One more pair, with its route.
fn more() -> String {
    format!(
        "[pairs.NEW]\nprimary = {{ name = \"NEW_P\", address = \"10.77.0.2:4200\" }}\n\
         [routes.new]\nlisten = [\"{SHARED}:4200\"]\npair = \"NEW\"\n"
    )
}

/// Where `node` has what it knows of `A`'s seat.
fn draft(node: &Node) -> PathBuf {
    node.proxy.dir().join("state/seats/A.toml")
}

/// Writes one more pair at the end.
fn edit(node: &Node) {
    let text = fs::read_to_string(draft(node)).expect("what is known of the seat, for people");
    fs::write(draft(node), format!("{text}\n{}", more())).expect("it can be written");
}

fn has_new(node: &Node) -> bool {
    node.proxy.admin.status().pairs.iter().any(|pair| &*pair.pair == "NEW")
}

#[test]
fn g6_what_was_edited_during_a_takeover_is_pulled_back_and_the_file_is_called_behind_until_it_says_the_same() {
    let mut rig = Rig::joined();
    rig.kill_a();
    rig.b.until_serves(&rig.a);
    edit(&rig.b);
    rig.b.order(&["reload"]);
    assert!(has_new(&rig.b));

    rig.a_returns();
    rig.a.order(&["reverse", "A"]);
    rig.a.until_serves(&rig.a);

    assert!(has_new(&rig.a), "its own file does not know it");
    let warned = || rig.a.group().warnings.iter().any(|warning| warning.contains("behind"));
    eventually("it says that its file is behind", || warned().then_some(()));
    rig.a.order(&["reload"]);
    assert!(has_new(&rig.a), "what is in the file is not newer");

    // The file is changed, too, but knows nothing of the other change.
    let file = |text: &str| rig.a.configure("primary", text, &Wishes::default());
    file(&seat().replace("[routes.probes]", "[routes.probes]\nidle_timeout = \"2h\""));
    let refused = rig.a.refuses(&["reload"]);
    assert!(refused.contains("behind") && refused.contains("seats/A.toml") && refused.contains("--force"), "{refused}");
    assert!(has_new(&rig.a));
    // Now it knows.
    file(&format!("{}\n{}", seat(), more()));
    rig.a.order(&["reload"]);
    eventually("it is in step", || (!warned()).then_some(()));
    assert!(has_new(&rig.a));
    eventually("so is the other", || (rig.b.seat(&rig.a)?.revision == rig.a.seat(&rig.a)?.revision).then_some(()));
}

/// A file that lost its pairs, by mistake: nobody is closed, here or where it is copied to.
#[test]
fn b6_a_seat_does_not_lose_all_its_pairs_unless_that_is_meant() {
    let mut rig = Rig::joined();
    rig.a.configure("primary", "", &Wishes::default());
    let refused = rig.a.refuses(&["reload"]);
    assert!(refused.contains("no pair would be left of seat A") && refused.contains("--force"), "{refused}");
    rig.kill_a();
    rig.b.until_serves(&rig.a);
    let text = fs::read_to_string(draft(&rig.b)).expect("what is known of the seat, for people");
    fs::write(draft(&rig.b), "").expect("it can be written");
    assert!(rig.b.refuses(&["reload"]).contains("no pair would be left of seat A"));
    rig.until_reached("AGG_P");
    // Nor by the way back, or a start.
    rig.a_returns();
    rig.a.order(&["reverse", "A"]);
    rig.a.until_serves(&rig.a);
    rig.until_reached("AGG_P");
    rig.kill_a();
    rig.b.until_serves(&rig.a);
    fs::write(draft(&rig.b), text).expect("it can be written");
    rig.b.order(&["reload"]);
    rig.until_reached("AGG_P");
}

#[test]
fn b6_what_is_known_of_a_seat_is_edited_in_vain_where_it_is_not_held() {
    let rig = Rig::joined();
    let before = fs::read_to_string(draft(&rig.b)).expect("what is known of the seat");
    assert!(before.contains("[pairs.") && before.contains("failback reload"), "{before}");
    edit(&rig.b);
    let refused = rig.b.refuses(&["reload"]);
    assert!(refused.contains("does not hold seat A") && refused.contains("A.toml"), "{refused}");
    assert!(!has_new(&rig.b) && !has_new(&rig.a));
    // It does not lie in wait for a takeover, and is not lost.
    assert_eq!(fs::read_to_string(draft(&rig.b)).expect("it was put back"), before);
    let kept = fs::read_to_string(draft(&rig.b).with_extension("toml.kept")).expect("it is kept");
    assert!(refused.contains("A.toml.kept") && kept != before, "{refused}");
    rig.b.order(&["reload"]);
    // Deleted, it is written anew.
    fs::remove_file(draft(&rig.b)).expect("it is there");
    rig.b.order(&["reload"]);
    assert_eq!(fs::read_to_string(draft(&rig.b)).expect("it is there again"), before);
    // A mistake in it is told with its place.
    fs::write(draft(&rig.b), "[pairs\n").expect("it can be written");
    let refused = rig.b.proxy.cli(&["reload"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("A.toml"), "{said}");
}

#[test]
fn b3_a_reload_says_what_check_would_warn_of() {
    let rig = Rig::joined();
    let text = fs::read_to_string(rig.a.proxy.config()).expect("a file");
    fs::write(rig.a.proxy.config(), text.replace("listen = [\"10.77.0.10:", "listen = [\"10.77.0.99:"))
        .expect("a file");
    let said = rig.a.order(&["reload"]);
    assert!(
        said.contains("warning: ") && said.contains("clients of the shared address, 10.77.0.10, do not reach"),
        "{said}"
    );
}
