//! What a process uses, as the kernel counts it.

use std::{fs, time::Duration};

/// Processor time used so far, all threads.
pub(crate) fn processor_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is there");
    let after_name = stat.rsplit_once(')').expect("a name in brackets").1;
    let ticks: Vec<u64> = after_name.split_whitespace().skip(11).take(2).map(|n| n.parse().expect("ticks")).collect();
    Duration::from_millis(ticks.iter().sum::<u64>() * 10)
}
