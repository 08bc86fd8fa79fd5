//! The rounds: every cell with every program, in an order that is shuffled anew each round, so that what disturbs the
//! machine for a while disturbs all of them alike.

use crate::{
    cell::{Cell, Figure},
    harness::report::Report,
    place::{Place, Shape, make_certificates},
    program::{Kind, Program},
    running::{self, Running},
};
use std::{
    collections::{BTreeMap, BTreeSet},
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

/// A program, by its place in [`Rounds::programs`], in one shape.
type Which = (usize, Shape);

impl Plan<'_> {
    /// Every program in every shape that some cell wants of it. Its own upstream addresses keep its closed connections apart
    /// from the others'.
    fn places(&self, programs: &[Program]) -> BTreeMap<Which, Place> {
        let wanted = |(at, program): (usize, &Program)| {
            self.cells.iter().filter(|cell| cell.suits(program.kind)).map(|cell| (at, cell.shape())).collect::<Vec<_>>()
        };
        let all = programs.iter().enumerate().flat_map(wanted).collect::<BTreeSet<_>>();
        let ports = (self.first_port..).step_by(4);
        all.into_iter().zip(ports).map(|(which, port)| (which, Place::at(port, which.1, self.dir))).collect()
    }

    /// The server ends: one in plain, one in TLS.
    fn servers(&self, places: &BTreeMap<Which, Place>) -> anyhow::Result<Vec<Running>> {
        let certificates = make_certificates(self.dir)?;
        let mut servers = Vec::new();
        for (back, tls) in [(false, ""), (true, &certificates[..])] {
            let mine = places.values().filter(|place| place.shape.back() == back);
            let listen = mine.flat_map(|place| [place.primary, place.backup]);
            let listen = listen.map(|address| format!("--listen {address}")).collect::<Vec<_>>();
            if !listen.is_empty() {
                let words = format!("serve {tls} {}", listen.join(" "));
                servers.push(Running::server(&split(&words), self.load_core)?);
            }
        }
        Ok(servers)
    }

    /// Measures.
    pub(crate) fn run(&self, programs: Vec<Program>) -> anyhow::Result<Rounds> {
        let places = self.places(&programs);
        let _servers = self.servers(&places)?;
        let lasting = |(at, shape): Which| {
            let fits = |cell: &&Cell| cell.shape() == shape && cell.suits(programs[at].kind);
            self.cells.iter().filter(fits).any(|cell| !cell.wants_a_fresh_program())
        };
        let mut running = BTreeMap::new();
        for (which, place) in places.iter().filter(|(which, _)| lasting(**which)) {
            let dir = self.dir.join(format!("{}-{:?}", which.0, which.1));
            running.insert(*which, Running::program(&programs[which.0], place, &dir, self.proxy_core)?);
        }
        let mut rounds = Rounds { programs, reports: BTreeMap::new() };
        let mut shuffle = Shuffle::new();
        for round in 1..=self.rounds {
            writeln!(stderr(), "round {round} of {}", self.rounds)?;
            for cell in self.cells.iter().filter(|cell| !cell.wants_a_fresh_program()) {
                for at in shuffle.order(rounds.programs.len()) {
                    let which = (at, cell.shape());
                    let Some((place, running)) = places.get(&which).zip(running.get(&which)) else { continue };
                    rounds.measure(self, *cell, at, place, running)?;
                }
            }
        }
        drop(running);
        for cell in self.cells.iter().filter(|cell| cell.wants_a_fresh_program()) {
            self.fresh(*cell, &mut rounds, &places, &mut shuffle)?;
        }
        Ok(rounds)
    }

    fn fresh(
        &self,
        cell: Cell,
        rounds: &mut Rounds,
        places: &BTreeMap<Which, Place>,
        shuffle: &mut Shuffle,
    ) -> anyhow::Result<()> {
        for round in 1..=self.rounds {
            writeln!(stderr(), "{cell:?}: round {round} of {}", self.rounds)?;
            for at in shuffle.order(rounds.programs.len()) {
                let Some(place) = places.get(&(at, cell.shape())) else { continue };
                if cell.suits(rounds.programs[at].kind) {
                    let dir = self.dir.join(format!("{at}-{cell:?}-{round}"));
                    let running = Running::program(&rounds.programs[at], place, &dir, self.proxy_core)?;
                    rounds.measure(self, cell, at, place, &running)?;
                }
            }
        }
        Ok(())
    }
}

fn split(words: &str) -> Vec<String> {
    words.split_whitespace().map(str::to_owned).collect()
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
        let words = format!("{} {} --pid {}", cell.words(plan.seconds), place.words(), running.pid());
        let report = match running::load(&split(&words), plan.load_core) {
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
