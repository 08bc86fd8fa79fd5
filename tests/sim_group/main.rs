//! A seeded simulation of groups (`X8`): the real [`failback::decide::NodeMachine`] on two to four nodes whose links are cut one way or
//! both, whose processes are frozen, killed between any two effects, and restarted, whose clocks run apart, whose disks are slow or
//! full, with operators whose orders come at bad moments.
//!
//! Nothing in it but chance from the seed decides, so a failing seed fails again:
//!
//! ```text
//! FAILBACK_SEED=123 cargo test --test sim_group -- --nocapture     one seed, told step by step
//! FAILBACK_SEEDS=200000 cargo test --test sim_group                more of them
//! ```

#[cfg(test)]
mod chain;
#[cfg(test)]
#[path = "../sim/chance.rs"]
mod chance;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod judge;
#[cfg(test)]
mod node;
#[cfg(test)]
mod world;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use world::World;

/// As many as CI has time for.
const SEEDS: u64 = 10_000;

fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

#[test]
fn x8_no_rule_of_a_group_is_broken_whatever_happens() {
    if let Some(seed) = number_from("FAILBACK_SEED") {
        if let Err(broken) = World::new(seed, true).run() {
            panic!("seed {seed}: {broken}");
        }
        return;
    }
    let seeds = number_from("FAILBACK_SEEDS").unwrap_or(SEEDS);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let (next, steps) = (AtomicU64::new(0), AtomicU64::new(0));
    let failures: Vec<(u64, String)> = std::thread::scope(|scope| {
        let work = || {
            loop {
                let seed = next.fetch_add(1, Relaxed);
                if seed >= seeds {
                    return None;
                }
                match World::new(seed, false).run() {
                    Ok(taken) => drop(steps.fetch_add(taken, Relaxed)),
                    Err(broken) => return Some((seed, broken)),
                }
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().filter_map(|worker| worker.join().expect("a simulated world panicked")).collect()
    });
    if let Some((seed, broken)) = failures.first() {
        panic!("seed {seed}: {broken}\n  again: FAILBACK_SEED={seed} cargo test --test sim_group -- --nocapture");
    }
    println!("{seeds} seeds, {} steps", steps.load(Relaxed));
}
