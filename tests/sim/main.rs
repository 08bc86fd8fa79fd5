//! A seeded simulation of a whole pair (`X8`): the real [`failback::decide::PairMachine`] between simulated upstreams whose data can
//! be stale, clients, workers, a disk, a gateway that tells the truth or does not, an adversary, and operators.
//!
//! Nothing in it but chance from the seed decides, so a failing seed fails again:
//!
//! ```text
//! FAILBACK_SEED=123 cargo test --test sim -- --nocapture     one seed, told step by step
//! FAILBACK_SEEDS=200000 cargo test --test sim                more of them
//! ```

#[cfg(test)]
mod chance;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod judge;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod scenario;
#[cfg(test)]
mod servers;
#[cfg(test)]
mod workers;
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

/// Runs the seed; `Err`: the rule it broke.
fn run(seed: u64, talks: bool) -> Result<u64, String> {
    match World::new(seed, talks).run() {
        Ok(world) => Ok(world.steps),
        Err(world) => Err(world.judge.broken.unwrap_or_default()),
    }
}

#[test]
fn x8_no_rule_is_broken_whatever_happens() {
    if let Some(seed) = number_from("FAILBACK_SEED") {
        if let Err(broken) = run(seed, true) {
            panic!("seed {seed}: {broken}");
        }
        return;
    }
    let seeds = number_from("FAILBACK_SEEDS").unwrap_or(SEEDS);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let (next, steps) = (AtomicU64::new(0), AtomicU64::new(0));
    let failures: Vec<(u64, String)> = std::thread::scope(|scope| {
        let work = || {
            let mut failures = Vec::new();
            while failures.is_empty() {
                let seed = next.fetch_add(1, Relaxed);
                if seed >= seeds {
                    break;
                }
                match run(seed, false) {
                    Ok(taken) => drop(steps.fetch_add(taken, Relaxed)),
                    Err(broken) => failures.push((seed, broken)),
                }
            }
            failures
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a simulated world panicked")).collect()
    });
    if let Some((seed, broken)) = failures.first() {
        panic!("seed {seed}: {broken}\n  again: FAILBACK_SEED={seed} cargo test --test sim -- --nocapture");
    }
    println!("{seeds} seeds, {} steps", steps.load(Relaxed));
}
