//! A disk that is small enough to be filled.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::Command,
};

/// Room for a journal, its spare and a few records.
const SIZE: &str = "size=12m,mode=700";

/// A file system of its own, in memory.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounted there.
    #[track_caller]
    pub(crate) fn at(path: PathBuf) -> Self {
        fs::create_dir_all(&path).expect("a directory");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "tmpfs"]).arg(&path));
        Self(path)
    }

    /// Without room for a byte, until what this gives is dropped.
    #[track_caller]
    pub(crate) fn fill(&self) -> Full {
        let path = self.0.join("in the way");
        let mut file = File::create(&path).expect("it is not full yet");
        loop {
            match file.write_all(&[b'x'; 512]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return Full(path),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a program may still be ending that has files open there.
        let _left_to_the_end_of_the_machine = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// A disk is full.
pub(crate) struct Full(PathBuf);

impl Full {
    /// There is room again.
    #[track_caller]
    pub(crate) fn make_room(self) {
        fs::remove_file(Path::new(&self.0)).expect("what is in the way can be removed");
    }
}

#[track_caller]
fn run(command: &mut Command) {
    let status = command.status().expect("mount and umount are there");
    assert!(status.success(), "{command:?}: {status}");
}
