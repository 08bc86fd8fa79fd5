//! The guard: a child process that does nothing but wait for its parent's end, and then removes the shared address. So `kill -9`
//! (and a crash, and the kernel's out-of-memory killer) frees it at once, and not when its lifetime ends.
//!
//! It waits on a pipe of which only the parent has the other end, which the kernel closes however the parent ends. Told
//! [`DISMISSED`] through it, it leaves the address alone.

use super::kernel::{AddressError, Addresses};
use crate::model::group::InterfaceAddress;
use nix::sys::signal::SigSet;
use std::{
    fs,
    io::{self, Read, Write},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// This very program, even after its file was replaced: both speak the same language.
pub const THIS_PROGRAM: &str = "/proc/self/exe";

/// The parent has removed or handed over the address itself.
const DISMISSED: u8 = b'.';
/// The guard is ready: whatever comes, it will be noticed.
const READY: u8 = b'!';
/// It starts within milliseconds; a machine that is so busy can't hold an address anyhow.
const START: Duration = Duration::from_secs(5);
/// After it was dismissed.
const END: Duration = Duration::from_millis(500);

/// The parent's end of a guard. Dropped, it dismisses the guard, and leaves no zombie.
#[derive(Debug)]
pub struct Guard {
    child: Child,
    pipe: Option<ChildStdin>,
}

impl Guard {
    /// Starts `program` as guard of an address, and waits until it is ready. Blocks for some milliseconds.
    ///
    /// # Errors
    /// It can't be started, or does not get ready.
    pub fn start(program: &Path, of: &InterfaceAddress) -> io::Result<Self> {
        let mut child = Command::new(program)
            .args(["guard", &of.address.to_string(), &of.interface])
            .current_dir("/")
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (pipe, said) = (child.stdin.take(), child.stdout.take());
        let guard = Self { child, pipe };
        let mut said = said.ok_or_else(|| io::Error::other("no pipe"))?;
        await_input(&said, START)?;
        let mut word = [0];
        match said.read(&mut word)? {
            1 if word == [READY] => Ok(guard),
            _ => Err(io::Error::other("it ended at once")),
        }
    }

    /// Is it still there? A guard that somebody killed must be replaced.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(mut pipe) = self.pipe.take() {
            // If it is gone already, that is what was wanted.
            let _gone = pipe.write_all(&[DISMISSED]);
        }
        let end = Instant::now() + END;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
            sleep(Duration::from_millis(1));
        }
        // Does nothing to one that ended.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn await_input(pipe: &impl std::os::fd::AsFd, limit: Duration) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
    match poll(&mut [PollFd::new(pipe, PollFlags::IN)], Some(&limit))? {
        0 => Err(io::ErrorKind::TimedOut.into()),
        _ => Ok(()),
    }
}

/// The guard's whole life: `failback guard ADDRESS INTERFACE`, with the pipe as its input.
///
/// # Errors
/// It can't guard, or can't remove the address.
pub fn stand(over: &InterfaceAddress) -> Result<(), AddressError> {
    // Who ends the program by a signal to its group or its unit must not end what cleans up after it.
    SigSet::all().thread_block().map_err(|errno| AddressError::NoGuard(errno.into()))?;
    close_all_but_the_pipes();
    // Fails only if it leads a session already.
    let _session = rustix::process::setsid();
    let kernel = Addresses::open().map_err(AddressError::NoGuard)?;
    // A parent that is killed right now does not hear it, and then its pipe is closed below.
    let _parent_is_gone = say_ready();

    let mut word = [0];
    loop {
        match io::stdin().read(&mut word) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(1) if word == [DISMISSED] => return Ok(()),
            // The parent is gone, or can no longer be heard.
            _ => return kernel.remove(over),
        }
    }
}

fn say_ready() -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(&[READY])?;
    out.flush()
}

/// Listening sockets and files that were passed to the program itself would live on in its guard.
fn close_all_but_the_pipes() {
    let open = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let numbers: Vec<i32> = open.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for number in numbers.into_iter().filter(|number| *number > 2) {
        // The folder's own descriptor is closed already.
        let _closed = nix::unistd::close(number);
    }
}
