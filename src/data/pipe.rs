//! A worker's pipes for `splice(2)`. A flow borrows one while bytes are in it, so idle sessions own none.

use rustix::{
    fd::OwnedFd,
    pipe::{PipeFlags, fcntl_setpipe_size, pipe_with},
};
use std::cell::{Cell, RefCell};

/// What one pipe should hold. The kernel gives less to who has many (`fs.pipe-user-pages-soft`), which is no error.
const PIPE_BYTES: usize = 1 << 20;
/// Pipes lent at once; flows beyond that copy.
const MOST_LENT: usize = 64;
/// Pipes kept open for the next flow.
const MOST_SPARE: usize = 8;

/// Two descriptors and what lies between them.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) out: OwnedFd,
    pub(super) into: OwnedFd,
    pub(super) capacity: usize,
}

/// A bounded stock of empty pipes.
#[derive(Debug, Default)]
pub(super) struct PipePool {
    spare: RefCell<Vec<Pipe>>,
    lent: Cell<usize>,
}

impl PipePool {
    /// An empty pipe; `None` when enough are lent or there are no descriptors.
    pub(super) fn take(&self) -> Option<Pipe> {
        if self.lent.get() == MOST_LENT {
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
        let pool = PipePool::default();
        let lent: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!(lent.len(), MOST_LENT);
        lent.into_iter().for_each(|pipe| pool.give_back(pipe));
        assert_eq!(pool.spare.borrow().len(), MOST_SPARE);
        assert!(pool.take().is_some_and(|pipe| pipe.capacity >= 4096));
    }
}
