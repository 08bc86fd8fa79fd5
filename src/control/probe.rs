//! One health check: connect, say something if so configured, wait for the answer.
//!
//! A passed check closes with FIN, as a client that changed its mind would: a reset would stand in many servers' logs. Its
//! TIME-WAIT stays with us, which is one socket a check for a minute.

mod secured;

use crate::{
    decide::{effect::CheckId, input::CheckResult},
    model::{PairName, UpstreamName, proxy_protocol::HeaderVersion, spec::Check, tls::TlsFailure},
    net::{
        dial::{DialError, FirstWord, dial},
        proxy_protocol::{self, Endpoints},
        tls::classify,
    },
};
use rustls::{ClientConfig, pki_types::ServerName};
use secured::{shake, verdict};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout_at},
};

/// In how much of the answer the expected bytes may stand.
const ANSWER: usize = 4096;
/// A deadline that comes later than this shows that we were held up, not the server.
const LATE: Duration = Duration::from_millis(100);

/// The kernel sends a lost SYN again after a second, when a check may long have failed; a check dials again sooner.
const AGAIN: Duration = Duration::from_millis(250);

/// What to check.
#[derive(Debug)]
pub struct Target {
    /// What a check does.
    pub check: Check,
    /// Where; never empty.
    pub addresses: Arc<[SocketAddr]>,
    /// For how long.
    pub timeout: Duration,
    /// TLS, if the pair has it: its own configuration, so that nothing is resumed and every check sees the certificate.
    pub tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

/// What a check found.
#[derive(Debug, PartialEq)]
pub struct Checked {
    /// How it ended.
    pub result: CheckResult,
    /// What its handshake showed.
    pub handshake: Handshake,
}

/// What the TLS handshake of a check showed; nothing where there was none.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Handshake {
    /// When the certificate that was shown expires, believed or not, in seconds since 1970.
    pub expires: Option<i64>,
    /// Why it failed.
    pub failure: Option<TlsFailure>,
}

/// A check that ended.
#[derive(Debug)]
pub struct Ended {
    /// The pair.
    pub pair: PairName,
    /// Which of its machines asked for it.
    pub machine: u64,
    /// The check's number.
    pub check: CheckId,
    /// The upstream.
    pub upstream: UpstreamName,
    /// How it ended.
    pub result: CheckResult,
    /// What its handshake showed.
    pub handshake: Handshake,
}

/// Checks once. A check whose deadline passed while its answer was there already has passed; one whose deadline was
/// noticed far too late says nothing.
pub async fn check(target: &Target) -> Checked {
    let start = Instant::now();
    let deadline = start + target.timeout;
    let (mut answer, mut handshake) = (Vec::new(), Handshake::default());
    let result = match dial_again(&target.addresses, target.timeout).await {
        Ok(stream) => {
            let spoken = speak(stream, target, deadline, &mut answer, &mut handshake);
            timeout_at(deadline, spoken).await.unwrap_or(Err(CheckResult::TimedOut))
        }
        Err(DialError::Refused | DialError::Unreachable(_)) => Err(CheckResult::Refused),
        Err(DialError::TimedOut) => Err(CheckResult::TimedOut),
        Err(DialError::Local(source)) => Err(CheckResult::Local(source.to_string())),
    };
    let took = start.elapsed();
    let result = match (result, &target.check) {
        (Ok(()), _) => CheckResult::Passed { took },
        (Err(CheckResult::TimedOut), _) if took > target.timeout + LATE => {
            CheckResult::Local(format!("held up: a deadline of {:?} was noticed after {took:?}", target.timeout))
        }
        // A server that refuses what we said need not hang up (`-NOAUTH`): it waits for us to say something better.
        (Err(CheckResult::TimedOut), Check::SendExpect { expect, .. }) if !answer.is_empty() => wrong(&answer, expect),
        (Err(failure), _) => failure,
    };
    Checked { result, handshake }
}

/// What comes after the connection stands.
async fn speak(
    mut stream: TcpStream,
    target: &Target,
    deadline: Instant,
    answer: &mut Vec<u8>,
    handshake: &mut Handshake,
) -> Result<(), CheckResult> {
    let header = match &target.check {
        Check::Tls { header } | Check::SendExpect { header, .. } => *header,
        Check::Connect => None,
    };
    if let Some(version) = header {
        let header = own_header(&stream, version).map_err(|error| broken(&error))?;
        stream.write_all(&header).await.map_err(|error| broken(&error))?;
    }
    match (&target.check, &target.tls) {
        (Check::Connect, _) | (Check::Tls { .. }, None) => Ok(()),
        (Check::Tls { .. }, Some(tls)) => {
            let mut secured = shake(stream, tls, handshake).await?;
            // A server that finds its log full of connections cut short would rather be told.
            let _told = secured.shutdown().await;
            verdict(secured, deadline, handshake).await
        }
        (Check::SendExpect { send, expect, .. }, Some(tls)) => {
            converse(shake(stream, tls, handshake).await?, send, expect, answer).await
        }
        (Check::SendExpect { send, expect, .. }, None) => converse(stream, send, expect, answer).await,
    }
}

/// Dials, and twice more beside it if no answer comes: one lost packet is not a silent server.
async fn dial_again(addresses: &[SocketAddr], timeout: Duration) -> Result<TcpStream, DialError> {
    let later = async |after| {
        sleep(after).await;
        dial(addresses, timeout.saturating_sub(after), FirstWord::Unknown).await
    };
    tokio::select! {
        biased;
        ended = dial(addresses, timeout, FirstWord::Unknown) => ended,
        Ok(stream) = later(AGAIN) => Ok(stream),
        Ok(stream) = later(AGAIN * 2) => Ok(stream),
    }
}

/// Reads into `answer`, until what is expected is there.
async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    send: &[u8],
    expect: &[u8],
    answer: &mut Vec<u8>,
) -> Result<(), CheckResult> {
    stream.write_all(send).await.map_err(|error| broken(&error))?;
    loop {
        let mut more = [0; ANSWER];
        let read = stream.read(&mut more[answer.len()..]).await.map_err(|error| broken(&error))?;
        answer.extend_from_slice(&more[answer.len()..][..read]);
        if answer.windows(expect.len()).any(|window| window == expect) {
            return Ok(());
        }
        if read == 0 {
            return Err(wrong(answer, expect));
        }
    }
}

/// A check is on nobody's behalf, which version 2 says by `LOCAL`. The specification wants version 1 to name the connection's
/// own addresses instead, because some servers refuse `UNKNOWN`.
fn own_header(stream: &TcpStream, version: HeaderVersion) -> io::Result<Vec<u8>> {
    let endpoints = match version {
        HeaderVersion::V1 => Endpoints::new(stream.local_addr()?, stream.peer_addr()?),
        HeaderVersion::V2 => None,
    };
    Ok(proxy_protocol::header(version, endpoints, &[]))
}

/// A connection that breaks after it was accepted shows a server that answers wrongly, not one that is gone.
fn broken(error: &io::Error) -> CheckResult {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(tls) => refused(tls),
        None => CheckResult::Wrong(format!("the connection broke: {error}")),
    }
}

fn refused(error: &rustls::Error) -> CheckResult {
    let (reason, words) = classify(error);
    CheckResult::Wrong(format!("{}: {words}", reason.words()))
}

fn wrong(answer: &[u8], expect: &[u8]) -> CheckResult {
    const SHOWN: usize = 64;
    let more = if answer.len() > SHOWN { "…" } else { "" };
    let (answer, expect) = (answer[..answer.len().min(SHOWN)].escape_ascii(), expect.escape_ascii());
    CheckResult::Wrong(format!("\"{answer}\"{more} where \"{expect}\" was expected"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    const SOON: Duration = Duration::from_secs(20);

    fn target(address: SocketAddr, check: Check, timeout: Duration) -> Target {
        Target { check, addresses: [address].into(), timeout, tls: None }
    }

    fn ping() -> Check {
        Check::SendExpect { send: (*b"PING\r\n").into(), expect: (*b"+PONG").into(), header: None }
    }

    /// A server that reads the question and says `answers` piece by piece.
    async fn server(answers: &'static [&'static str], then_close: bool) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut question = [0; 6];
            stream.read_exact(&mut question).await.unwrap();
            assert_eq!(&question, b"PING\r\n");
            for answer in answers {
                stream.write_all(answer.as_bytes()).await.unwrap();
                sleep(Duration::from_millis(20)).await;
            }
            if !then_close {
                std::future::pending::<()>().await;
            }
        });
        address
    }

    #[tokio::test]
    async fn a_listening_server_passes_and_a_dead_one_refuses() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let result = check(&target(address, Check::Connect, SOON)).await.result;
        assert!(matches!(result, CheckResult::Passed { took } if took < SOON), "{result:?}");
        drop(listener);
        assert_eq!(check(&target(address, Check::Connect, SOON)).await.result, CheckResult::Refused);
    }

    #[tokio::test]
    async fn a_passed_check_ends_with_fin() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert!(matches!(check(&target(address, Check::Connect, SOON)).await.result, CheckResult::Passed { .. }));
        let (mut stream, _) = listener.accept().await.unwrap();
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0, "end of stream, not a reset");
    }

    /// A full queue drops a SYN just as a bad link does.
    #[tokio::test]
    async fn a_lost_syn_fails_no_check() {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut fillers = Vec::new();
        while let Ok(filler) = dial(&[address], Duration::from_millis(200), FirstWord::Unknown).await {
            fillers.push(filler);
        }
        let room = async {
            sleep(AGAIN / 2).await;
            for _ in &fillers {
                listener.accept().await.unwrap();
            }
        };
        let target = target(address, Check::Connect, Duration::from_millis(900));
        let (result, ()) = tokio::join!(check(&target), room);
        assert!(matches!(result.result, CheckResult::Passed { .. }), "{result:?}");
    }

    #[tokio::test]
    async fn the_answer_may_come_in_pieces() {
        let address = server(&["-LOADING\r\n+PO", "NG\r\n"], false).await;
        let result = check(&target(address, ping(), SOON)).await.result;
        assert!(matches!(result, CheckResult::Passed { .. }), "{result:?}");
    }

    #[tokio::test]
    async fn a_wrong_answer_is_shown() {
        let address = server(&["-ERR\r\n"], true).await;
        let result = check(&target(address, ping(), SOON)).await.result;
        assert_eq!(result, CheckResult::Wrong(r#""-ERR\r\n" where "+PONG" was expected"#.into()));
    }

    #[tokio::test]
    async fn a_wrong_answer_is_shown_though_the_server_does_not_hang_up() {
        let address = server(&["-NOAUTH\r\n"], false).await;
        let result = check(&target(address, ping(), Duration::from_millis(500))).await.result;
        assert_eq!(result, CheckResult::Wrong(r#""-NOAUTH\r\n" where "+PONG" was expected"#.into()));
    }

    #[tokio::test]
    async fn only_the_first_4_kib_of_an_answer_count() {
        static LONG: [&str; 2] = [noise(), "+PONG"];
        let result = check(&target(server(&LONG, false).await, ping(), SOON)).await.result;
        assert!(matches!(&result, CheckResult::Wrong(words) if words.contains("\"…")), "{result:?}");
    }

    #[tokio::test]
    async fn a_server_that_wants_a_header_gets_one_before_the_question() {
        for version in [HeaderVersion::V1, HeaderVersion::V2] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let asked = Check::SendExpect { send: (*b"PING").into(), expect: (*b"PONG").into(), header: Some(version) };
            let served = async {
                let (mut stream, client) = listener.accept().await.unwrap();
                let wanted = match version {
                    HeaderVersion::V1 => {
                        format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\n", client.port(), address.port())
                    }
                    HeaderVersion::V2 => "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".into(),
                };
                let mut heard = vec![0; wanted.len() + 4];
                stream.read_exact(&mut heard).await.unwrap();
                stream.write_all(b"PONG").await.unwrap();
                assert_eq!(String::from_utf8_lossy(&heard), format!("{wanted}PING"));
            };
            let target = target(address, asked, SOON);
            let (result, ()) = tokio::join!(check(&target), served);
            assert!(matches!(result.result, CheckResult::Passed { .. }), "{result:?}");
        }
    }

    /// 4 KiB of anything.
    const fn noise() -> &'static str {
        match std::str::from_utf8(&[b'.'; ANSWER]) {
            Ok(noise) => noise,
            Err(_) => panic!("dots are text"),
        }
    }

    /// The server answered in time; we were held up until long after the deadline.
    #[tokio::test]
    async fn what_we_notice_too_late_is_not_the_servers_fault() {
        let address = server(&["+PONG\r\n"], false).await;
        let target = target(address, ping(), Duration::from_millis(150));
        let silent = server(&[], false).await;
        let other =
            Target { check: ping(), addresses: [silent].into(), timeout: Duration::from_millis(150), tls: None };
        let checks = async { tokio::join!(check(&target), check(&other)) };
        let stall = async {
            // The whole runtime stands still.
            sleep(Duration::from_millis(60)).await;
            std::thread::sleep(Duration::from_millis(700));
        };
        let ((answered, unanswered), ()) = tokio::join!(checks, stall);
        assert!(matches!(answered.result, CheckResult::Passed { .. }), "{answered:?}");
        assert!(matches!(unanswered.result, CheckResult::Local(_)), "{unanswered:?}");
    }
}
