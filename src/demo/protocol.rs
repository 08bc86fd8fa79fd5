//! What the demo's programs say to each other: short lines of words and numbers, one meaning each.
//!
//! ```text
//! probe  ▶ PROBE 7                    server ▶ HELLO AGG_P whole        the client speaks first
//! probe  ▶ EVENT 41                   server ▶ STORED 41                once stored (and copied, while its peer is whole)
//!
//! peer   ▶ PEER AGG_P 3               peer   ▶ PEER AGG_B 3             both ends of the gateway; the term says who is stale
//! either ▶ COPY 7 41                  other  ▶ COPIED 1200              so many copies of this connection are stored
//! whole  ▶ BEGIN 52000                                                  resync: the stale one deletes what it has
//! whole  ▶ FILL 7 1 41                                                  events 1 to 41 of probe 7
//! whole  ▶ END 4                      stale  ▶ WHOLE                    it holds everything again, and has term 4
//! stale  ▶ RESYNC                                                       asks for that
//!
//! anyone ▶ STATUS                     server ▶ STATUS AGG_P stale 310 0 0
//! anyone ▶ RESYNC                     server ▶ OK | NO reason
//! anyone ▶ DUMP                       server ▶ HELD 7 1 41 … DONE 310   ranges held, then the number of rows
//! ```

use std::{fmt, io, str::FromStr};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

/// No line is longer. Longer ones are an error, so that a stranger can't make a server remember them.
const LONGEST: u64 = 256;

/// Numbers a probe over the whole run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ProbeId(pub(super) u64);

/// What a server's data is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It holds every event that was acknowledged by either server, and so does its peer.
    Whole,
    /// The same, but its peer is not there or is stale.
    Alone,
    /// Its peer went on without it.
    Stale,
    /// It is being filled by its peer, and what it had is deleted.
    Resyncing,
}

/// One line, in either direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// A probe introduces itself.
    Probe(ProbeId),
    /// The server's answer: its name and standing.
    Hello(String, Standing),
    /// The probe's event of this number.
    Event(u64),
    /// That event is stored.
    Stored(u64),
    /// A server introduces itself to its peer, with its term.
    Peer(String, u64),
    /// An event that the sender stored.
    Copy(ProbeId, u64),
    /// So many `COPY` lines of this connection are stored.
    Copied(u64),
    /// A resync of so many events begins.
    Begin(u64),
    /// Events first to last of a probe.
    Fill(ProbeId, u64, u64),
    /// The resync ends, with the sender's term.
    End(u64),
    /// The resync ended.
    Whole,
    /// A question about the server.
    StatusPlease,
    /// Its answer.
    Status(Status),
    /// Resynchronise the stale one of the two servers.
    Resync,
    /// It begins.
    Ok,
    /// It does not, and why.
    No(String),
    /// A question about everything held.
    Dump,
    /// Events first to last of a probe are held.
    Held(ProbeId, u64, u64),
    /// The end of a dump: so many rows are held. More rows than events in the ranges means duplicates.
    Done(u64),
}

/// A server at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Status {
    /// Its name.
    pub(super) name: String,
    /// What its data is worth.
    pub(super) standing: Standing,
    /// Events it holds.
    pub(super) events: u64,
    /// While it is being filled: events received.
    pub(super) filled: u64,
    /// While it is being filled: events to receive.
    pub(super) total: u64,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whole => "whole",
            Self::Alone => "alone",
            Self::Stale => "stale",
            Self::Resyncing => "resyncing",
        })
    }
}

impl FromStr for Standing {
    type Err = NotALine;

    fn from_str(word: &str) -> Result<Self, NotALine> {
        let all = [Self::Whole, Self::Alone, Self::Stale, Self::Resyncing];
        all.into_iter().find(|it| it.to_string() == word).ok_or(NotALine)
    }
}

impl Standing {
    /// Would what is sent to it now be lost?
    pub(super) fn is_stale(self) -> bool {
        matches!(self, Self::Stale | Self::Resyncing)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Probe(ProbeId(id)) => write!(f, "PROBE {id}"),
            Self::Hello(name, standing) => write!(f, "HELLO {name} {standing}"),
            Self::Event(seq) => write!(f, "EVENT {seq}"),
            Self::Stored(seq) => write!(f, "STORED {seq}"),
            Self::Peer(name, term) => write!(f, "PEER {name} {term}"),
            Self::Copy(ProbeId(id), seq) => write!(f, "COPY {id} {seq}"),
            Self::Copied(count) => write!(f, "COPIED {count}"),
            Self::Begin(total) => write!(f, "BEGIN {total}"),
            Self::Fill(ProbeId(id), first, last) => write!(f, "FILL {id} {first} {last}"),
            Self::End(term) => write!(f, "END {term}"),
            Self::Whole => f.write_str("WHOLE"),
            Self::StatusPlease => f.write_str("STATUS"),
            Self::Status(Status { name, standing, events, filled, total }) => {
                write!(f, "STATUS {name} {standing} {events} {filled} {total}")
            }
            Self::Resync => f.write_str("RESYNC"),
            Self::Ok => f.write_str("OK"),
            Self::No(reason) => write!(f, "NO {reason}"),
            Self::Dump => f.write_str("DUMP"),
            Self::Held(ProbeId(id), first, last) => write!(f, "HELD {id} {first} {last}"),
            Self::Done(rows) => write!(f, "DONE {rows}"),
        }
    }
}

/// A line that is none of [`Line`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line this protocol does not have")]
pub(super) struct NotALine;

impl FromStr for Line {
    type Err = NotALine;

    fn from_str(text: &str) -> Result<Self, NotALine> {
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        let mut words = rest.split(' ');
        let mut word = || words.next().filter(|word| !word.is_empty()).ok_or(NotALine);
        let number = |word: &str| word.parse::<u64>().map_err(|_| NotALine);
        let line = match verb {
            "PROBE" => Self::Probe(ProbeId(number(word()?)?)),
            "HELLO" => Self::Hello(word()?.into(), word()?.parse()?),
            "EVENT" => Self::Event(number(word()?)?),
            "STORED" => Self::Stored(number(word()?)?),
            "PEER" => Self::Peer(word()?.into(), number(word()?)?),
            "COPY" => Self::Copy(ProbeId(number(word()?)?), number(word()?)?),
            "COPIED" => Self::Copied(number(word()?)?),
            "BEGIN" => Self::Begin(number(word()?)?),
            "FILL" => Self::Fill(ProbeId(number(word()?)?), number(word()?)?, number(word()?)?),
            "END" => Self::End(number(word()?)?),
            "WHOLE" => Self::Whole,
            "STATUS" if rest.is_empty() => Self::StatusPlease,
            "STATUS" => Self::Status(Status {
                name: word()?.into(),
                standing: word()?.parse()?,
                events: number(word()?)?,
                filled: number(word()?)?,
                total: number(word()?)?,
            }),
            "RESYNC" => Self::Resync,
            "OK" => Self::Ok,
            "NO" => return Ok(Self::No(rest.into())),
            "DUMP" => Self::Dump,
            "HELD" => Self::Held(ProbeId(number(word()?)?), number(word()?)?, number(word()?)?),
            "DONE" => Self::Done(number(word()?)?),
            _ => return Err(NotALine),
        };
        if words.next().is_some_and(|more| !more.is_empty()) { Err(NotALine) } else { Ok(line) }
    }
}

/// Reads lines. A call of [`Lines::next`] that is given up in a `select!` loses nothing.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    partial: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader: BufReader::new(reader), partial: Vec::new() }
    }

    /// The next line; `None` at the end of the stream.
    ///
    /// # Errors
    /// What the socket says; `InvalidData` for a line that is too long or unknown.
    pub(super) async fn next(&mut self) -> io::Result<Option<Line>> {
        let room = LONGEST - self.partial.len() as u64;
        (&mut self.reader).take(room).read_until(b'\n', &mut self.partial).await?;
        let Some(text) = self.partial.strip_suffix(b"\n") else {
            // The stream ended, orderly or within a line, or the line has no end.
            let too_long = self.partial.len() as u64 == LONGEST;
            return if too_long { Err(invalid()) } else { Ok(None) };
        };
        let line = std::str::from_utf8(text).ok().and_then(|text| text.trim_end_matches('\r').parse().ok());
        self.partial.clear();
        line.map(Some).ok_or_else(invalid)
    }

    /// Is a whole further line here already, so that `next` would not wait?
    pub(super) fn more(&self) -> bool {
        self.partial.is_empty() && self.reader.buffer().contains(&b'\n')
    }
}

fn invalid() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, NotALine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read_as_it_was_written() {
        let status =
            Status { name: "AGG_P".into(), standing: Standing::Resyncing, events: 1, filled: 2, total: u64::MAX };
        for line in [
            Line::Probe(ProbeId(7)),
            Line::Hello("AGG_P".into(), Standing::Stale),
            Line::Event(41),
            Line::Stored(41),
            Line::Peer("AGG_B".into(), 3),
            Line::Copy(ProbeId(7), 41),
            Line::Copied(9),
            Line::Begin(5),
            Line::Fill(ProbeId(7), 1, 41),
            Line::End(4),
            Line::Whole,
            Line::StatusPlease,
            Line::Status(status),
            Line::Resync,
            Line::Ok,
            Line::No("neither server is stale".into()),
            Line::Dump,
            Line::Held(ProbeId(7), 1, 41),
            Line::Done(310),
        ] {
            assert_eq!(line.to_string().parse(), Ok(line));
        }
    }

    #[test]
    fn what_is_no_line_is_refused() {
        for text in ["", "EVENT", "EVENT x", "EVENT 1 2", "EVENT -1", "FILL 1 2", "HELLO AGG_P", "GET / HTTP/1.1"] {
            assert_eq!(text.parse::<Line>(), Err(NotALine), "{text}");
        }
    }

    #[tokio::test]
    async fn lines_are_cut_where_they_end_and_a_long_one_is_an_error() {
        let mut lines = Lines::new(&b"EVENT 1\r\nEVENT 2\nEVEN"[..]);
        assert_eq!(lines.next().await.unwrap(), Some(Line::Event(1)));
        assert!(lines.more());
        assert_eq!(lines.next().await.unwrap(), Some(Line::Event(2)));
        assert!(!lines.more());
        assert_eq!(lines.next().await.unwrap(), None);
        let endless = [b'x'; 1000];
        assert_eq!(Lines::new(&endless[..]).next().await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
