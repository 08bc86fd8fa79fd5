//! A worker's pipes for `splice(2)`. A flow borrows one while bytes are in it, so idle sessions own none.

use rustix::{
    fd::OwnedFd,
    pipe::{PipeFlags, fcntl_setpipe_size, pipe_with},
};
use std::cell::{Cell, RefCell};

/// What one pipe should hold. The kernel gives less to who has many (`fs.pipe-user-pages-soft`), which is no error.
const PIPE_BYTES: usize = 1 << 20;
/// Pipes lent at once, where there are descriptors for them; flows beyond that copy.
const MOST_LENT: usize = 64;
/// Pipes kept open for the next flow.
const MOST_SPARE: usize = 8;
/// Of all descriptors, the part that the workers' pipes may take together.
const SHARE: u64 = 16;

/// Two descriptors and what lies between them.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) out: OwnedFd,
    pub(super) into: OwnedFd,
    pub(super) capacity: usize,
}

/// A bounded stock of empty pipes.
#[derive(Debug)]
pub(super) struct PipePool {
    most: usize,
    spare: RefCell<Vec<Pipe>>,
    lent: Cell<usize>,
}

/// How many pipes each of so many workers may have, if the process may have so many descriptors.
pub(super) fn most_pipes(workers: usize, descriptors: Option<u64>) -> usize {
    let share = descriptors.map_or(u64::MAX, |limit| limit / SHARE / 2 / workers.max(1) as u64);
    usize::try_from(share).unwrap_or(MOST_LENT).min(MOST_LENT)
}

impl PipePool {
    /// Of at most so many pipes, lent and spare ones together.
    pub(super) fn new(most: usize) -> Self {
        Self { most, spare: RefCell::default(), lent: Cell::new(0) }
    }

    /// An empty pipe; `None` when enough are lent or there are no descriptors.
    pub(super) fn take(&self) -> Option<Pipe> {
        if self.lent.get() >= self.most {
            return None;
        }
        let pipe = self.spare.borrow_mut().pop().or_else(open)?;
        self.lent.set(self.lent.get() + 1);
        Some(pipe)
    }

    /// Takes an empty pipe back.
    pub(super) fn give_back(&self, pipe: Pipe) {
        self.lent.set(self.lent.get() - 1);
        let mut spare = self.spare.borrow_mut();
        if spare.len() < MOST_SPARE {
            spare.push(pipe);
        }
    }

    /// Closes a pipe with bytes in it, which nobody wants any more.
    pub(super) fn discard(&self, pipe: Pipe) {
        self.lent.set(self.lent.get() - 1);
        drop(pipe);
    }
}

fn open() -> Option<Pipe> {
    let (out, into) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
    let _refused = fcntl_setpipe_size(&into, PIPE_BYTES);
    let capacity = rustix::pipe::fcntl_getpipe_size(&into).ok()?;
    Some(Pipe { out, into, capacity })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_are_lent_up_to_a_bound_and_used_again() {
        let pool = PipePool::new(20);
        let lent: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!(lent.len(), 20);
        lent.into_iter().for_each(|pipe| pool.give_back(pipe));
        assert_eq!(pool.spare.borrow().len(), MOST_SPARE);
        assert!(pool.take().is_some_and(|pipe| pipe.capacity >= 4096));
    }

    #[test]
    fn where_descriptors_are_few_there_are_few_pipes() {
        assert_eq!(most_pipes(2, Some(20_000)), MOST_LENT);
        assert_eq!(most_pipes(2, Some(1_024)), 16);
        assert_eq!(most_pipes(64, Some(1_024)), 0);
        assert_eq!(most_pipes(2, None), MOST_LENT);
    }
}
