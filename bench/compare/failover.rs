//! The failover comparison: the primary's process is killed under clients, comes back with stale data, and nobody says
//! that it was resynchronised. How long until clients are served by the backup, and how soon do they get the stale one?

use crate::{
    harness::{
        client::{self, Reach},
        stream::Stream,
        wire::{Event, Kind as Session, ServerName},
    },
    newcomers::Newcomers,
    place::{Place, Shape},
    program::{Kind, Program},
    running::Running,
    spread::{Spread, range},
};
use anyhow::Context;
use std::{
    fmt::Write as _,
    io::{ErrorKind::WouldBlock, Read, Write, stderr},
    net::SocketAddr,
    path::Path,
    sync::mpsc,
    time::{Duration, Instant},
};

/// Sessions that are there when the primary is killed.
const SESSIONS: u32 = 20;
/// How long clients are waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the stale primary is watched.
const WATCH: Duration = Duration::from_secs(8);

/// How to do it.
pub(crate) struct Plan<'a> {
    pub(crate) kills: usize,
    pub(crate) first_port: u16,
    pub(crate) load_core: usize,
    pub(crate) proxy_core: usize,
    pub(crate) dir: &'a Path,
}

/// One kill.
struct Kill {
    /// From the kill to the first newcomer that the backup serves.
    served: Option<Duration>,
    /// From the kill to the end of the last old session.
    cut: Option<Duration>,
    /// Newcomers turned away before the first was served.
    turned_away: usize,
    /// From the stale primary's return to the first newcomer it gets.
    back: Option<Duration>,
}

impl Plan<'_> {
    /// Kills, and tells in a table.
    pub(crate) fn run(&self, programs: &[Program]) -> anyhow::Result<String> {
        let wanted = |kind| matches!(kind, Kind::Failback | Kind::HaProxy | Kind::HaProxyTuned);
        let programs = programs.iter().filter(|program| wanted(program.kind)).collect::<Vec<_>>();
        let mut kills = programs.iter().map(|_| Vec::new()).collect::<Vec<_>>();
        for round in 1..=self.kills {
            writeln!(stderr(), "kill {round} of {}", self.kills)?;
            for (program, kills) in programs.iter().zip(&mut kills) {
                kills.push(self.kill(program, round).with_context(|| program.label.clone())?);
            }
        }
        let mut text = String::from(
            "\n### kill -9 of the primary\n\n| | newcomers served by the backup | old sessions cut | newcomers turned away | \
             back on the stale primary |\n|---|--:|--:|--:|--:|\n",
        );
        for (program, kills) in programs.iter().zip(&kills) {
            let served = range(kills.iter().map(|kill| kill.served), PATIENCE);
            let cut = range(kills.iter().map(|kill| kill.cut), PATIENCE);
            let back = range(kills.iter().map(|kill| kill.back), WATCH);
            let turned_away = Spread::of(kills.iter().map(|kill| kill.turned_away as f64)).map_or(0.0, |it| it.median);
            writeln!(text, "| {} | {served} | {cut} | {turned_away:.0} | {back} |", program.label)?;
        }
        Ok(text)
    }

    fn kill(&self, program: &Program, round: usize) -> anyhow::Result<Kill> {
        let place = Place::at(self.first_port, Shape::Plain, self.dir);
        let dir = self.dir.join(format!("{}-{round}", program.kind));
        std::fs::create_dir_all(&dir)?;
        let store = dir.join("AGG_P");
        let primary = self.server("AGG_P", place.primary, &store)?;
        let _backup = self.server("AGG_B", place.backup, &dir.join("AGG_B"))?;
        let _proxy = Running::program(program, &place, &dir, self.proxy_core)?;
        // Checks have settled (failback wants a backup to be up for 5 s), and the kill hits them at another moment each time.
        std::thread::sleep(Duration::from_millis(6500 + (round as u64 * 618) % 1000));
        let ends = ends(client::open(&Reach { target: place.listen, tls: None }, Session::Echo, SESSIONS)?);
        let newcomers = Newcomers::start(place.listen);
        std::thread::sleep(Duration::from_millis(200));
        // From now on it has a past, and is stale when it comes back.
        std::fs::write(&store, Event { probe: 0, seq: 0, attempt: 0 }.encode())?;
        let killed = Instant::now();
        primary.kill()?;
        let (served, turned_away) = newcomers.first(killed, PATIENCE, |hello| hello.name == ServerName::new("AGG_B"));
        let mut cut = None;
        for _ in 0..SESSIONS {
            cut = ends.recv_timeout(PATIENCE).ok().map(|at| at.duration_since(killed)).max(cut);
        }
        let _stale = self.server("AGG_P", place.primary, &store)?;
        let (back, _) = newcomers.first(Instant::now(), WATCH, |hello| hello.stale);
        Ok(Kill { served, cut, turned_away, back })
    }

    fn server(&self, name: &str, listen: SocketAddr, store: &Path) -> anyhow::Result<Running> {
        let words = format!("serve --name {name} --listen {listen} --store {}", store.display());
        let server = Running::server(&words.split_whitespace().map(str::to_owned).collect::<Vec<_>>(), self.load_core)?;
        let began = Instant::now();
        while std::net::TcpStream::connect(listen).is_err() && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(server)
    }
}

/// When each session ends.
fn ends(sessions: Vec<Stream>) -> mpsc::Receiver<Instant> {
    let (tell, told) = mpsc::channel();
    for mut session in sessions {
        let tell = tell.clone();
        std::thread::spawn(move || {
            let socket = session.socket();
            let waits = socket.set_nonblocking(false).and_then(|()| socket.set_read_timeout(Some(PATIENCE * 2)));
            // An end is an end, by FIN or by RST.
            let ended = waits.is_ok() && !matches!(session.read(&mut [0]), Err(error) if error.kind() == WouldBlock);
            if ended {
                // Who no longer waits for it doesn't matter.
                let _nobody = tell.send(Instant::now());
            }
        });
    }
    told
}
