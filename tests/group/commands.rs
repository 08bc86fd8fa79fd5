//! `takeover.command`: what swings traffic where no address can move.

use crate::{
    common::{eventually, within},
    node::Wishes,
    rig::Rig,
};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;

/// An operator's program, and what it wrote down.
struct Swing {
    folder: TempDir,
}

impl Swing {
    /// It writes down who called it, and then does this.
    fn that(does: &str) -> Self {
        let swing = Self { folder: tempfile::tempdir().expect("a folder") };
        let text = format!(
            "#!/bin/sh\ncd {:?}\necho \"$FAILBACK_NODE $FAILBACK_SEAT $FAILBACK_ROLE\" >> log\n{does}\n",
            swing.folder.path()
        );
        fs::write(swing.script(), text).expect("the script can be written");
        fs::set_permissions(swing.script(), fs::Permissions::from_mode(0o755)).expect("a mode");
        swing
    }

    fn script(&self) -> PathBuf {
        self.folder.path().join("swing")
    }

    fn wishes(&self) -> Wishes {
        let command = self.script();
        Wishes {
            takeover: format!("auto = true, primary_timeout = \"1600ms\", command = [{command:?}]"),
            ..Wishes::default()
        }
    }

    fn log(&self) -> Vec<String> {
        lines(&self.folder.path().join("log"))
    }
}

fn lines(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn b9_the_takeover_command_runs_where_it_is_given_with_the_role_in_its_environment() {
    let swing = Swing::that("");
    let mut rig = Rig::joined_with(&swing.wishes(), &swing.wishes());
    let ran = |line: &str| swing.log().iter().any(|its| its == line);
    eventually("it ran when A began to serve", || ran("A A holder").then_some(()));
    rig.kill_a();
    rig.b.until_serves(&rig.a);
    eventually("it ran when B took over", || ran("B A holder").then_some(()));
    rig.a_returns();
    rig.b.order(&["reverse", "A"]);
    eventually("it ran when B let go", || ran("B A standby").then_some(()));
}

/// A cloud's API takes its time: what is ordered next waits for it, or *holder* could be the last that it hears.
#[test]
fn b9_one_command_ends_before_the_next_begins() {
    let swing = Swing::that("[ \"$FAILBACK_NODE\" = A ] || sleep 3; echo \"end of $FAILBACK_ROLE\" >> log");
    let mut rig = Rig::joined_with(&swing.wishes(), &swing.wishes());
    rig.kill_a();
    rig.b.until_serves(&rig.a);
    rig.a_returns();
    rig.b.order(&["reverse", "A"]);
    rig.a.until_serves(&rig.a);
    within(Duration::from_secs(15), "B's second has ended", || {
        let of_b: Vec<String> = swing.log().into_iter().skip_while(|line| line != "B A holder").collect();
        let end = of_b.iter().position(|line| line == "end of standby")?;
        let begin = of_b.iter().position(|line| line == "B A standby").expect("it began");
        let first = of_b.iter().position(|line| line == "end of holder" || line == "end of standby");
        assert!(first.is_some_and(|first| first < begin) && begin < end, "{of_b:?}");
        Some(())
    });
}

#[test]
fn b9_a_command_that_fails_is_told_and_run_again_until_it_succeeds() {
    let swing = Swing::that("[ -e mended ] || exit 7");
    let rig = Rig::joined_with(&swing.wishes(), &swing.wishes());
    rig.a.until("it warns of it", |group| group.warnings.iter().any(|it| it.contains("takeover.command fails")));
    assert_eq!(rig.serves().as_deref(), Some("AGG_P"), "it serves nevertheless");
    fs::write(swing.folder.path().join("mended"), "").expect("a file");
    within(Duration::from_secs(20), "it succeeds", || rig.a.group().warnings.is_empty().then_some(()));
    assert!(swing.log().iter().filter(|line| *line == "A A holder").count() > 1);
}
