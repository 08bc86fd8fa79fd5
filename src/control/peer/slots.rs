//! Bounds on how many of something there are at once, in all and for each of those who ask.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Room for `total`, of which each key has at most `each`.
#[derive(Debug)]
pub(super) struct Slots<K> {
    each: usize,
    total: usize,
    taken: Arc<Mutex<BTreeMap<K, usize>>>,
}

/// A place; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Slot<K: Ord> {
    key: K,
    taken: Arc<Mutex<BTreeMap<K, usize>>>,
}

impl<K: Ord + Clone> Slots<K> {
    pub(super) fn new(each: usize, total: usize) -> Self {
        Self { each, total, taken: Arc::default() }
    }

    /// A place for `key`; `None` if there is none for it, or none at all.
    pub(super) fn take(&self, key: K) -> Option<Slot<K>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = taken.get(&key).copied().unwrap_or(0);
        if mine >= self.each || taken.values().sum::<usize>() >= self.total {
            return None;
        }
        taken.insert(key.clone(), mine + 1);
        Some(Slot { key, taken: Arc::clone(&self.taken) })
    }
}

impl<K: Ord> Drop for Slot<K> {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.key) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(&self.key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_more_than_his_and_what_is_given_back_can_be_taken_again() {
        let slots = Slots::new(2, 3);
        let (first, second) = (slots.take("a"), slots.take("a"));
        assert!(first.is_some() && second.is_some() && slots.take("a").is_none());
        let third = slots.take("b");
        assert!(third.is_some() && slots.take("c").is_none(), "there are three in all");
        drop(first);
        assert!(slots.take("c").is_some());
        drop((second, third));
        assert!(slots.taken.lock().unwrap().is_empty(), "nothing is kept of who is gone");
    }
}
