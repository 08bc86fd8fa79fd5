//! One end of a TLS connection without its socket: records go in, plain bytes and records come out. It keeps no buffer of its
//! own between calls, so that an idle session owns none.

use super::facts::Facts;
use rustls::{
    Error,
    client::UnbufferedClientConnection,
    pki_types::ServerName,
    server::UnbufferedServerConnection,
    unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus},
};
use std::{fmt, sync::Arc};

/// The most that one record takes, header and all (RFC 8446 §5.2, RFC 5246 §6.2.3).
pub const MOST_RECORD: usize = 5 + 16_384 + 2_048;
/// What sealing adds to each record of 16 KiB at most: header, explicit nonce, content type, tag.
const OVERHEAD: usize = 64;
const MOST_PLAIN: usize = 16_384;

/// A TLS connection, ours being either end.
pub struct Channel {
    end: End,
    /// `close_notify` came; rustls says so only once.
    ended: bool,
}

enum End {
    Server(Box<UnbufferedServerConnection>),
    Client(Box<UnbufferedClientConnection>),
}

/// What a step led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There may be more in what was given.
    Again,
    /// The handshake goes on once more bytes came.
    Blocked,
    /// The handshake is over; all that was given is worked off but for a record that is not whole yet.
    Open,
    /// The other end will send no more (`close_notify`).
    Ended,
}

impl Channel {
    /// The server's end.
    ///
    /// # Errors
    /// A configuration that can't serve.
    pub fn server(config: Arc<rustls::ServerConfig>) -> Result<Self, Error> {
        Ok(Self { end: End::Server(Box::new(UnbufferedServerConnection::new(config)?)), ended: false })
    }

    /// The client's end; `name` is what it asks for (SNI), if it is a name. Of the application protocols configured it offers
    /// `only` that one, if it is among them: bytes are passed on between two ends that must mean the same by them.
    ///
    /// # Errors
    /// A configuration that can't connect.
    pub fn client(
        config: Arc<rustls::ClientConfig>,
        name: ServerName<'static>,
        only: Option<&[u8]>,
    ) -> Result<Self, Error> {
        let configured = &config.alpn_protocols;
        let offered = match only.filter(|only| configured.iter().any(|known| known == only)) {
            Some(only) => vec![only.to_vec()],
            None => configured.clone(),
        };
        let connection = UnbufferedClientConnection::new_with_alpn(config, name, offered)?;
        Ok(Self { end: End::Client(Box::new(connection)), ended: false })
    }

    /// Works off what is at the front of `incoming`, and says how many bytes of it are done with. Plain bytes go to `plain`;
    /// what the protocol itself has to say is appended to `outgoing`. Call it until it is not [`Step::Again`].
    ///
    /// # Errors
    /// The connection has failed; an alert that says so may have been appended to `outgoing`.
    pub fn step(
        &mut self,
        incoming: &mut [u8],
        outgoing: &mut Vec<u8>,
        plain: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> (usize, Result<Step, Error>) {
        let (done, step) = match &mut self.end {
            End::Server(connection) => read(connection.process_tls_records(incoming), outgoing, plain),
            End::Client(connection) => read(connection.process_tls_records(incoming), outgoing, plain),
        };
        match step {
            Ok(Step::Ended) => self.ended = true,
            Ok(Step::Open) if self.ended => return (done, Ok(Step::Ended)),
            Err(_) => self.last_words(outgoing),
            Ok(_) => {}
        }
        (done, step)
    }

    /// Seals `bytes` at the front of `room`; how much of it was taken. There must be [`sealed_len`] of it. Not while
    /// [`is_fragment`] holds of what was left by the last [`Self::step`]: rustls panics then.
    ///
    /// # Errors
    /// The handshake is not over, or the connection's keys are used up.
    pub fn seal(&mut self, bytes: &[u8], room: &mut [u8]) -> Result<usize, Error> {
        self.write(room, What::Bytes(bytes))
    }

    /// The end of what we send (`close_notify`) at the front of `room`; how much of it was taken.
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub fn seal_end(&mut self, room: &mut [u8]) -> Result<usize, Error> {
        self.write(room, What::End)
    }

    /// Nothing can be sealed yet.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        match &self.end {
            End::Server(connection) => connection.is_handshaking(),
            End::Client(connection) => connection.is_handshaking(),
        }
    }

    /// We are the client.
    #[must_use]
    pub fn is_client(&self) -> bool {
        matches!(self.end, End::Client(_))
    }

    /// What was agreed upon.
    #[must_use]
    pub fn facts(&self) -> Facts {
        match &self.end {
            End::Server(connection) => Facts::of(connection),
            End::Client(connection) => Facts::of(connection),
        }
    }

    fn write(&mut self, room: &mut [u8], what: What<'_>) -> Result<usize, Error> {
        let mut taken = 0;
        loop {
            let written = match &mut self.end {
                End::Server(connection) => {
                    write(connection.process_tls_records(&mut []).state?, what, &mut room[taken..])
                }
                End::Client(connection) => {
                    write(connection.process_tls_records(&mut []).state?, what, &mut room[taken..])
                }
            }?;
            match written {
                Written::Due(bytes) => taken += bytes,
                Written::Ended => self.ended = true,
                Written::All(bytes) => return Ok(taken + bytes),
            }
        }
    }

    /// What is still to be sent when we fail; the last of it is the alert that says why.
    fn last_words(&mut self, outgoing: &mut Vec<u8>) {
        let nothing = |_: &[u8]| Ok(());
        // As long as something waits to be sent, rustls looks at nothing else, and each turn takes one piece of it.
        loop {
            let _sent = match &mut self.end {
                End::Server(connection) if connection.wants_write() => {
                    read(connection.process_tls_records(&mut []), outgoing, nothing)
                }
                End::Client(connection) if connection.wants_write() => {
                    read(connection.process_tls_records(&mut []), outgoing, nothing)
                }
                _ => return,
            };
        }
    }
}

/// Do these bytes, which a step left, begin with a whole record? Then it is a part of one of the protocol's own messages, and
/// rustls must be shown it again together with the rest.
#[must_use]
pub fn is_fragment(left: &[u8]) -> bool {
    match left {
        [_kind, _major, _minor, high, low, rest @ ..] => rest.len() >= usize::from(u16::from_be_bytes([*high, *low])),
        _ => false,
    }
}

/// What `bytes` sealed take at most.
#[must_use]
pub fn sealed_len(bytes: usize) -> usize {
    bytes + (bytes / MOST_PLAIN + 2) * OVERHEAD
}

/// Handles what rustls stopped at.
fn read<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    outgoing: &mut Vec<u8>,
    mut plain: impl FnMut(&[u8]) -> Result<(), Error>,
) -> (usize, Result<Step, Error>) {
    let mut done = status.discard;
    let step = match status.state {
        Err(error) => Err(error),
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                None => break Ok(Step::Again),
                Some(Err(error)) => break Err(error),
                Some(Ok(record)) => {
                    done += record.discard;
                    if let Err(error) = plain(record.payload) {
                        break Err(error);
                    }
                }
            }
        },
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            if let Err(EncodeError::InsufficientSize(needs)) = data.encode(&mut []) {
                let start = outgoing.len();
                outgoing.resize(start + needs.required_size, 0);
                data.encode(&mut outgoing[start..]).map(|_| Step::Again).map_err(|_| no_room())
            } else {
                Ok(Step::Again)
            }
        }
        Ok(ConnectionState::TransmitTlsData(data)) => {
            // What was encoded is in `outgoing` and is sent before anything else.
            data.done();
            Ok(Step::Again)
        }
        Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Ok(Step::Ended),
        Ok(ConnectionState::BlockedHandshake) => Ok(Step::Blocked),
        Ok(ConnectionState::WriteTraffic(_)) => Ok(Step::Open),
        // Early data is offered to nobody.
        Ok(_) => Err(Error::General("an unexpected state".into())),
    };
    (done, step)
}

fn no_room() -> Error {
    Error::General("too little room for a record".into())
}

/// What is sealed.
#[derive(Clone, Copy)]
enum What<'a> {
    Bytes(&'a [u8]),
    End,
}

/// What came of it.
enum Written {
    /// Something of the protocol's own came first; so many bytes.
    Due(usize),
    /// The other end had said that it will send no more.
    Ended,
    /// All is there; so many bytes.
    All(usize),
}

fn write<Data>(state: ConnectionState<'_, '_, Data>, what: What<'_>, room: &mut [u8]) -> Result<Written, Error> {
    let sealed = match (state, what) {
        (ConnectionState::WriteTraffic(mut traffic), What::Bytes(bytes)) => traffic.encrypt(bytes, room),
        (ConnectionState::WriteTraffic(mut traffic), What::End) => traffic.queue_close_notify(room),
        (ConnectionState::EncodeTlsData(mut data), _) => {
            return data.encode(room).map(Written::Due).map_err(|_| no_room());
        }
        (ConnectionState::TransmitTlsData(data), _) => {
            data.done();
            return Ok(Written::Due(0));
        }
        (ConnectionState::PeerClosed, _) => return Ok(Written::Ended),
        _ => return Err(Error::HandshakeNotComplete),
    };
    sealed.map(Written::All).map_err(|error| match error {
        EncryptError::EncryptExhausted => Error::EncryptError,
        EncryptError::InsufficientSize(_) => no_room(),
    })
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = if matches!(self.end, End::Server(_)) { "server" } else { "client" };
        f.debug_struct("Channel").field("end", &end).field("ended", &self.ended).finish()
    }
}
