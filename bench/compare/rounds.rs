//! The rounds: every cell with every program, in an order that is shuffled anew each round, so that what disturbs the
//! machine for a while disturbs all of them alike.

use crate::{
    cell::{Cell, Figure},
    harness::report::Report,
    program::{Kind, Place, Program},
    running::{self, Running},
};
use std::{
    collections::BTreeMap,
    io::{Write, stderr},
    path::Path,
};

/// What was measured.
pub(crate) struct Rounds {
    pub(crate) programs: Vec<Program>,
    /// By cell and the program's place in `programs`, round by round.
    reports: BTreeMap<(Cell, usize), Vec<Option<Report>>>,
}

/// How to measure.
pub(crate) struct Plan<'a> {
    pub(crate) cells: &'a [Cell],
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
    pub(crate) load_core: usize,
    pub(crate) proxy_core: usize,
    pub(crate) first_port: u16,
    pub(crate) dir: &'a Path,
}

impl Plan<'_> {
    /// Three ports for each program; its own upstream address keeps its closed connections apart from the others'.
    fn place(&self, at: usize) -> Place {
        let port = |which: u16| ([127, 0, 0, 1], self.first_port + 4 * at as u16 + which).into();
        Place { listen: port(0), admin: port(1), primary: port(2), backup: port(3) }
    }

    /// Measures.
    pub(crate) fn run(&self, programs: Vec<Program>) -> anyhow::Result<Rounds> {
        let places = (0..programs.len()).map(|at| self.place(at)).collect::<Vec<_>>();
        let listen = places.iter().flat_map(|place| [place.primary, place.backup]);
        let words = listen.flat_map(|address| ["--listen".into(), address.to_string()]);
        let _server =
            Running::server(&std::iter::once("serve".into()).chain(words).collect::<Vec<_>>(), self.load_core)?;
        let lasting = self.cells.iter().any(|cell| !cell.wants_a_fresh_program());
        let mut running = Vec::new();
        for (at, program) in programs.iter().enumerate() {
            let start = || Running::program(program, &places[at], &self.dir.join(at.to_string()), self.proxy_core);
            running.push(if lasting { Some(start()?) } else { None });
        }
        let mut rounds = Rounds { programs, reports: BTreeMap::new() };
        let mut shuffle = Shuffle::new();
        for round in 1..=self.rounds {
            writeln!(stderr(), "round {round} of {}", self.rounds)?;
            for cell in self.cells.iter().filter(|cell| !cell.wants_a_fresh_program()) {
                for at in shuffle.order(rounds.programs.len()) {
                    let Some(running) = &running[at] else { continue };
                    rounds.measure(self, *cell, at, &places[at], running)?;
                }
            }
        }
        drop(running);
        for cell in self.cells.iter().filter(|cell| cell.wants_a_fresh_program()) {
            self.fresh(*cell, &mut rounds, &places, &mut shuffle)?;
        }
        Ok(rounds)
    }

    fn fresh(&self, cell: Cell, rounds: &mut Rounds, places: &[Place], shuffle: &mut Shuffle) -> anyhow::Result<()> {
        for round in 1..=self.rounds {
            writeln!(stderr(), "{cell:?}: round {round} of {}", self.rounds)?;
            for at in shuffle.order(rounds.programs.len()) {
                let dir = self.dir.join(format!("{at}-{round}"));
                let running = Running::program(&rounds.programs[at], &places[at], &dir, self.proxy_core)?;
                rounds.measure(self, cell, at, &places[at], &running)?;
            }
        }
        Ok(())
    }
}

impl Rounds {
    fn measure(
        &mut self,
        plan: &Plan<'_>,
        cell: Cell,
        at: usize,
        place: &Place,
        running: &Running,
    ) -> anyhow::Result<()> {
        let program = &self.programs[at];
        if !cell.suits(program.kind) {
            return Ok(());
        }
        let words = format!("{} --target {} --pid {}", cell.words(plan.seconds), place.listen, running.pid());
        let words = words.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let report = match running::load(&words, plan.load_core) {
            Ok(report) => {
                if report.errors + report.misrouted > 0 {
                    let (errors, misrouted) = (report.errors, report.misrouted);
                    writeln!(stderr(), "{} in {cell:?}: {errors} errors, {misrouted} misrouted", program.label)?;
                }
                Some(report)
            }
            Err(error) => {
                writeln!(stderr(), "{} in {cell:?}: {error:#}", program.label)?;
                None
            }
        };
        self.reports.entry((cell, at)).or_default().push(report);
        Ok(())
    }

    /// A figure of every round.
    pub(crate) fn values(&self, cell: Cell, program: &Program, figure: &Figure) -> Vec<Option<f64>> {
        let at = self.programs.iter().position(|known| known.label == program.label);
        let reports = at.and_then(|at| self.reports.get(&(cell, at)));
        reports.into_iter().flatten().map(|report| (figure.of)(report.as_ref()?)).collect()
    }

    /// What all are compared with: the newest HAProxy as it comes, else whatever was measured first.
    pub(crate) fn base(&self, cell: Cell) -> Option<&Program> {
        let measured = |at: &usize| self.reports.contains_key(&(cell, *at));
        let mut places = (0..self.programs.len()).filter(measured);
        let plain = places.clone().find(|at| self.programs[*at].kind == Kind::HaProxy);
        plain.or_else(|| places.next()).map(|at| &self.programs[at])
    }
}

/// A small generator is random enough for an order (xorshift; G. Marsaglia, 2003).
struct Shuffle(u64);

impl Shuffle {
    fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15 ^ u64::from(std::process::id()))
    }

    fn order(&mut self, count: usize) -> Vec<usize> {
        let mut order = (0..count).collect::<Vec<_>>();
        for at in (1..count).rev() {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            order.swap(at, (self.0 % (at as u64 + 1)) as usize);
        }
        order
    }
}
