//! The admin API as any script would use it: HTTP/1.0 over a plain socket, so that nothing of the program tests itself.

use failback::model::view::{EventView, OrderAnswer, PairView, ResyncAnswer, SessionView, StatusView};
use serde::de::DeserializeOwned;
use std::{
    fmt,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

/// Where one node's API listens; written as `[admin] listen` wants it.
#[derive(Debug, Clone)]
pub(crate) enum Admin {
    /// A loopback address.
    Tcp(SocketAddr),
    /// A unix socket, which is reached from every network namespace.
    Unix(PathBuf),
}

impl fmt::Display for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// How long an answer may take; a signal is answered only once it is validated.
const PATIENCE: Duration = Duration::from_secs(30);

/// Status code and body.
pub(crate) type Answer = std::io::Result<(u16, String)>;

impl Admin {
    /// `GET`.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "")
    }

    /// `POST` with a JSON body.
    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        self.ask("POST", path, body)
    }

    /// `GET /api/v1/status`.
    #[track_caller]
    pub(crate) fn status(&self) -> StatusView {
        self.read("/api/v1/status")
    }

    /// `GET /api/v1/pairs/{pair}`.
    #[track_caller]
    pub(crate) fn pair(&self, pair: &str) -> PairView {
        self.read(&format!("/api/v1/pairs/{pair}"))
    }

    /// `GET /api/v1/events`.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<EventView> {
        self.read("/api/v1/events")
    }

    /// `GET /api/v1/sessions`.
    #[track_caller]
    pub(crate) fn sessions(&self) -> Vec<SessionView> {
        self.read("/api/v1/sessions")
    }

    /// `POST /api/v1/pairs/{pair}/resync`.
    #[track_caller]
    pub(crate) fn resync(&self, pair: &str, body: &str) -> ResyncAnswer {
        self.order(&format!("/api/v1/pairs/{pair}/resync"), body)
    }

    /// Any other order to a pair (`switch`, `freeze`, `migration`, …).
    #[track_caller]
    pub(crate) fn command(&self, pair: &str, verb: &str, body: &str) -> OrderAnswer {
        self.order(&format!("/api/v1/pairs/{pair}/{verb}"), body)
    }

    /// The sum of a metric's samples whose labels include all of `labels`.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let (code, text) = self.get("/metrics").expect("metrics");
        assert_eq!(code, 200, "{text}");
        sum(&text, name, labels)
    }

    #[track_caller]
    fn read<T: DeserializeOwned>(&self, path: &str) -> T {
        let (code, body) = self.get(path).unwrap_or_else(|error| panic!("GET {path}: {error}"));
        assert_eq!(code, 200, "GET {path}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("GET {path}: {error} in {body}"))
    }

    #[track_caller]
    fn order<T: DeserializeOwned>(&self, path: &str, body: &str) -> T {
        let (code, answer) = self.post(path, body).unwrap_or_else(|error| panic!("POST {path}: {error}"));
        assert_eq!(code, 200, "POST {path} {body}: {answer}");
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("POST {path}: {error} in {answer}"))
    }

    fn ask(&self, verb: &str, path: &str, body: &str) -> Answer {
        match self {
            Self::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, PATIENCE)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                exchange(stream, &address.to_string(), verb, path, body)
            }
            Self::Unix(socket) => {
                let stream = UnixStream::connect(socket)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                exchange(stream, "localhost", verb, path, body)
            }
        }
    }
}

fn exchange(mut stream: impl Read + Write, host: &str, verb: &str, path: &str, body: &str) -> Answer {
    let json = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    let head = format!("{verb} {path} HTTP/1.0\r\nHost: {host}\r\n{json}Content-Length: {}\r\n\r\n", body.len());
    stream.write_all((head + body).as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    parse(&answer).ok_or_else(|| std::io::Error::other(format!("no HTTP answer: {answer:?}")))
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let code = head.split(' ').nth(1)?.parse().ok()?;
    Some((code, body.into()))
}

/// The sum of all samples of that name with those labels.
pub(crate) fn sum(text: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    let wanted: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
    let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    let ours = samples.filter(|(series, _)| {
        let (metric, its_labels) = series.split_once('{').unwrap_or((series, ""));
        metric == name && wanted.iter().all(|label| its_labels.contains(label))
    });
    ours.map(|(_, value)| value.parse::<f64>().expect("a number")).sum()
}

/// What Prometheus' own checker has to say about a page of metrics.
#[track_caller]
pub(crate) fn promtool_accepts(page: &str) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed (Debian package prometheus)");
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.is_empty(), "{said}\n{page}");
}
