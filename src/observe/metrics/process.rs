//! The process metrics every Prometheus client offers, from `/proc`. What can't be read is left out.

use super::text::{Kind, Page};
use rustix::process::{Resource, getrlimit};
use std::fs;

/// CPU, memory, descriptors, threads and start time.
pub(super) fn render(page: &mut Page) {
    if let Some(stat) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(Stat::parse) {
        page.single(Kind::Counter, "process_cpu_seconds_total", "User and system CPU time.", stat.cpu_seconds);
        page.single(Kind::Gauge, "process_threads", "Threads.", stat.threads);
        page.single(Kind::Gauge, "process_virtual_memory_bytes", "Virtual memory.", stat.virtual_bytes);
        page.single(Kind::Gauge, "process_resident_memory_bytes", "Resident memory.", stat.resident_bytes);
        if let Some(boot) = boot_time() {
            let start = boot + stat.started_after_boot;
            page.single(Kind::Gauge, "process_start_time_seconds", "Start, since the Unix epoch.", start);
        }
    }
    if let Some(open) = open_descriptors() {
        page.single(Kind::Gauge, "process_open_fds", "Open file descriptors.", open);
    }
    if let Some(max) = getrlimit(Resource::Nofile).current {
        page.single(Kind::Gauge, "process_max_fds", "Limit of open file descriptors.", max);
    }
}

/// What `/proc/self/stat` says (`man 5 proc_pid_stat`).
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_seconds: f64,
    threads: u64,
    started_after_boot: f64,
    virtual_bytes: u64,
    resident_bytes: u64,
}

impl Stat {
    fn parse(line: &str) -> Option<Self> {
        // The command's name may hold blanks and parentheses; what follows the last `)` begins with field 3.
        let fields: Vec<&str> = line.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_seconds: ticks(field(14)? + field(15)?),
            threads: field(20)?,
            started_after_boot: ticks(field(22)?),
            virtual_bytes: field(23)?,
            resident_bytes: field(24)? * rustix::param::page_size() as u64,
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "2^53 ticks are a million years")]
fn ticks(count: u64) -> f64 {
    count as f64 / rustix::param::clock_ticks_per_second() as f64
}

fn boot_time() -> Option<f64> {
    fs::read_to_string("/proc/stat").ok()?.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// Since Linux 6.2 the directory's size is the count; before that it is 0 and they have to be listed.
fn open_descriptors() -> Option<u64> {
    match fs::metadata("/proc/self/fd").ok()?.len() {
        0 => Some(fs::read_dir("/proc/self/fd").ok()?.count() as u64),
        counted => Some(counted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_with_blanks_and_parentheses_does_not_shift_the_fields() {
        let line = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 3 0 200 4096 2 18446744073709551615";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.threads, stat.virtual_bytes), (3, 4096));
        assert_eq!(stat.resident_bytes, 2 * rustix::param::page_size() as u64);
        assert!((stat.cpu_seconds * rustix::param::clock_ticks_per_second() as f64 - 200.0).abs() < 1e-6);
    }

    #[test]
    fn this_process_has_memory_descriptors_and_a_start() {
        let mut page = Page::default();
        render(&mut page);
        let text = page.finish();
        for name in ["process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds"] {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}:\n{text}"));
            assert!(line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() > 0.0, "{line}");
        }
    }
}
