//! What a process and its children use, read from `/proc`.

use anyhow::Context;
use std::{collections::BTreeSet, fs, time::Duration};

/// The use of some processes, children included, added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Time on a CPU since each began, in user and kernel space. `schedstat` counts nanoseconds, `stat` only ticks.
    pub(crate) cpu: Duration,
    /// Resident memory; what is shared counts for each process.
    pub(crate) rss_kib: u64,
    /// Proportional resident memory; what is shared is divided among those that share it.
    pub(crate) pss_kib: u64,
    /// Open descriptors.
    pub(crate) descriptors: u64,
}

impl Usage {
    /// The use of `roots` and all that descends from them.
    ///
    /// # Errors
    /// A root is gone, or may not be read.
    pub(crate) fn of(roots: &[u32]) -> anyhow::Result<Self> {
        let mut sum = Self::default();
        for pid in family(roots)? {
            match Self::of_one(pid) {
                Ok(usage) => sum.add(usage),
                Err(error) if roots.contains(&pid) => return Err(error.context(format!("process {pid}"))),
                // A child that ended meanwhile.
                Err(_) => {}
            }
        }
        Ok(sum)
    }

    fn of_one(pid: u32) -> anyhow::Result<Self> {
        let mut cpu = Duration::ZERO;
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            // A thread may end between the listing and the reading.
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
            let on_cpu = text.split_whitespace().next().and_then(|word| word.parse().ok());
            cpu += Duration::from_nanos(on_cpu.context("schedstat has no number")?);
        }
        let memory = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64;
        Ok(Self { cpu, rss_kib: field(&memory, "Rss:")?, pss_kib: field(&memory, "Pss:")?, descriptors })
    }

    fn add(&mut self, other: Self) {
        self.cpu += other.cpu;
        self.rss_kib += other.rss_kib;
        self.pss_kib += other.pss_kib;
        self.descriptors += other.descriptors;
    }
}

fn field(text: &str, name: &str) -> anyhow::Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    line.trim().trim_end_matches(" kB").parse().with_context(|| format!("{name} is no number"))
}

/// `roots` and their descendants.
pub(crate) fn family(roots: &[u32]) -> anyhow::Result<BTreeSet<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        // The name in parentheses may hold anything; the state and the parent's id follow it.
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        parents.extend(parent.map(|parent| (pid, parent)));
    }
    let mut family = roots.iter().copied().collect::<BTreeSet<_>>();
    loop {
        let before = family.len();
        family.extend(
            parents.iter().filter(|(_, parent)| family.contains(parent)).map(|(pid, _)| *pid).collect::<Vec<_>>(),
        );
        if family.len() == before {
            return Ok(family);
        }
    }
}
