//! What a server remembers over `kill -9`: a small log of lines, rewritten when it has grown. Not synced to the platter:
//! a killed process loses nothing by that, and the demo kills no machines.

use super::{core::Memory, protocol::ProbeId};
use std::{
    fmt::Write as _,
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Rewritten when it has grown beyond this many bytes.
const LONG: u64 = 1 << 20;

/// The log of one server.
#[derive(Debug)]
pub(super) struct Disk {
    path: PathBuf,
    file: File,
    written: u64,
    line: String,
}

impl Disk {
    /// Opens the log, and reads what the server remembers: `None` if there was no log.
    ///
    /// # Errors
    /// What the file system says. Lines that make no sense (the last one, when it was torn) are skipped.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Option<Memory>)> {
        let memory = match std::fs::read_to_string(path) {
            Ok(text) => Some(remember(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let mut disk = Self { path: path.into(), file, written: 0, line: String::new() };
        if let Some(memory) = &memory {
            disk.rewrite(memory)?;
        }
        Ok((disk, memory))
    }

    /// Adds events to what is written with the next [`Disk::flush`].
    pub(super) fn event(&mut self, ProbeId(probe): ProbeId, first: u64, last: u64) {
        let _never_fails = writeln!(self.line, "{probe} {first} {last}");
    }

    /// Writes what was added. `true` if it is time to [`Disk::rewrite`].
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        self.file.write_all(self.line.as_bytes())?;
        self.written += self.line.len() as u64;
        self.line.clear();
        Ok(self.written > LONG)
    }

    /// Puts this memory in the place of everything written so far.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn rewrite(&mut self, memory: &Memory) -> io::Result<()> {
        let mut text = format!("term {} {}\n", memory.term, if memory.alone { "alone" } else { "paired" });
        for (ProbeId(probe), first, last) in memory.store.iter() {
            let _never_fails = writeln!(text, "{probe} {first} {last}");
        }
        let fresh = self.path.with_extension("new");
        std::fs::write(&fresh, &text)?;
        std::fs::rename(&fresh, &self.path)?;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        self.written = 0;
        self.line.clear();
        Ok(())
    }
}

fn remember(text: &str) -> Memory {
    let mut memory = Memory { term: 1, ..Memory::default() };
    for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["term", term, standing] => {
                memory.term = term.parse().unwrap_or(memory.term);
                memory.alone = standing == "alone";
            }
            [probe, first, last] => {
                if let (Ok(probe), Ok(first), Ok(last)) = (probe.parse(), first.parse(), last.parse()) {
                    // What did not fit when it was written does not fit now.
                    let _full = memory.store.insert(ProbeId(probe), first, last);
                }
            }
            _ => {}
        }
    }
    memory
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_is_remembered_and_a_torn_line_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("AGG_P.events");
        let (mut disk, memory) = Disk::open(&path).unwrap();
        assert_eq!(memory, None, "a server that was never here before");
        disk.rewrite(&Memory { term: 3, alone: true, ..Memory::default() }).unwrap();
        for seq in 1..=5 {
            disk.event(ProbeId(7), seq, seq);
        }
        disk.flush().unwrap();
        disk.file.write_all(b"7 6 60").unwrap();

        let (_, memory) = Disk::open(&path).unwrap();
        let memory = memory.unwrap();
        assert_eq!((memory.term, memory.alone), (3, true));
        assert_eq!(memory.store.iter().collect::<Vec<_>>(), [(ProbeId(7), 1, 5)]);
    }

    #[test]
    fn the_log_does_not_grow_without_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("AGG_P.events");
        let (mut disk, _) = Disk::open(&path).unwrap();
        let mut memory = Memory { term: 1, ..Memory::default() };
        for seq in 1..=200_000 {
            memory.store.insert(ProbeId(7), seq, seq).unwrap();
            disk.event(ProbeId(7), seq, seq);
            if disk.flush().unwrap() {
                disk.rewrite(&memory).unwrap();
            }
        }
        assert!(std::fs::metadata(&path).unwrap().len() < 2 * LONG);
        assert_eq!(Disk::open(&path).unwrap().1, Some(memory));
    }
}
