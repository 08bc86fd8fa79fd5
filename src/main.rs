//! `failback`: arguments to command.

fn main() {}
