//! A test that starts itself again as a program of its own: to be killed, or to live in namespaces of its own.

use std::{
    ffi::OsString,
    path::Path,
    process::{Child, Command, Stdio},
};

/// Tells the program that it is the second one, and where to work.
const DIRECTORY: &str = "FAILBACK_TEST_DIRECTORY";

/// The directory to work in, if this is the second program.
pub(crate) fn is_second() -> Option<OsString> {
    std::env::var_os(DIRECTORY)
}

/// Starts the test called `test` (its full path) again with `dir` to work in, executed by `wrapper`.
pub(crate) fn again(test: &str, wrapper: &[&str], dir: &Path) -> Child {
    let mut argv: Vec<OsString> = wrapper.iter().map(Into::into).collect();
    argv.push(std::env::current_exe().expect("this program").into());
    argv.extend(["--exact", test, "--nocapture", "--test-threads=1"].map(Into::into));
    let mut command = Command::new(&argv[0]);
    command.args(&argv[1..]).env(DIRECTORY, dir).stdout(Stdio::piped());
    command.spawn().unwrap_or_else(|error| panic!("{} can't be started: {error}", argv[0].display()))
}
