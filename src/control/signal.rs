//! The sources of the resync signal that we ask ourselves: `resync_http` and `resync_command`.
//!
//! One poll gives one answer: done, not done, or none (the source itself failed), which counts as nothing.

use super::{
    program::{self, Failure},
    threads::Share,
};
use crate::model::{Epoch, HostPort, PairName, spec::SignalSource};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, body::Bytes, header};
use hyper_util::rt::TokioIo;
use std::{
    net::{SocketAddr, ToSocketAddrs},
    time::Duration,
};
use tokio::{net::TcpStream, time::timeout};

/// How long the HTTP source may take.
const HTTP_DEADLINE: Duration = Duration::from_secs(5);
/// How much of its answer is read.
const HTTP_BODY: usize = 64 * 1024;

/// Where the threads come from that may hang.
#[derive(Debug, Clone)]
pub struct Threads {
    /// Names are resolved on these.
    pub lookups: Share,
    /// Commands are started on these.
    pub starts: Share,
}

/// Asks once. `Some(true)`: done; `Some(false)`: not done; `None`: no clear answer.
pub async fn poll(source: &SignalSource, pair: &PairName, epoch: Epoch, threads: &Threads) -> Option<bool> {
    let answer = match source {
        SignalSource::Http { authority, path, expect, .. } => {
            match timeout(HTTP_DEADLINE, get(authority, path, &threads.lookups)).await {
                Ok(answer) => {
                    answer.map(|(status, body)| status == StatusCode::OK && contains(&body, expect.as_bytes()))
                }
                Err(_) => Err(format!("no answer within {HTTP_DEADLINE:?}").into()),
            }
        }
        SignalSource::Command { argv, timeout, .. } => run(argv, *timeout, pair, epoch, &threads.starts).await,
    };
    match answer {
        Ok(done) => Some(done),
        Err(error) => {
            tracing::debug!(%pair, %error, "the source of the resync signal gave no answer");
            None
        }
    }
}

/// One GET on a connection of its own; polls are seconds apart.
async fn get(authority: &HostPort, path: &str, lookups: &Share) -> Result<(StatusCode, Bytes), Failure> {
    let (host, port) = (authority.host.clone(), authority.port);
    let look_up = move || (host.as_str(), port).to_socket_addrs().map(Vec::from_iter);
    let addresses: Vec<SocketAddr> = lookups.run(look_up).await.ok_or("the look-up panicked")??;
    let stream = TcpStream::connect(&*addresses).await?;
    let (mut requests, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header(header::HOST, authority.to_string())
        .header(header::USER_AGENT, concat!("failback/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let exchange = async {
        let answer = requests.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), HTTP_BODY).collect().await?.to_bytes();
        Ok((status, body))
    };
    tokio::pin!(connection);
    tokio::pin!(exchange);
    let mut open = true;
    loop {
        // Driven here rather than by a task, so that a deadline that drops this future closes the connection too.
        tokio::select! {
            answer = &mut exchange => return answer,
            ended = &mut connection, if open => { ended?; open = false; }
        }
    }
}

fn contains(body: &[u8], wanted: &[u8]) -> bool {
    wanted.is_empty() || body.windows(wanted.len()).any(|window| window == wanted)
}

async fn run(argv: &[String], limit: Duration, pair: &PairName, epoch: Epoch, starts: &Share) -> Result<bool, Failure> {
    let environment = [("FAILBACK_PAIR", pair.to_string()), ("FAILBACK_EPOCH", epoch.to_string())];
    let status = program::run(argv, &environment, limit, starts).await?;
    match status.code() {
        Some(code) => Ok(code == 0),
        None => Err(format!("ended by a signal ({status})").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn command(script: &str, limit: Duration) -> SignalSource {
        let argv: Arc<[String]> = ["sh", "-c", script].map(String::from).into();
        SignalSource::Command { argv, every: Duration::from_secs(1), timeout: limit }
    }

    async fn ask(source: &SignalSource) -> Option<bool> {
        let threads = Threads { lookups: Share::default(), starts: Share::default() };
        poll(source, &"AGG_V".into(), Epoch(7), &threads).await
    }

    #[tokio::test]
    async fn a_command_says_done_by_exiting_with_zero() {
        let long = Duration::from_secs(20);
        assert_eq!(ask(&command("exit 0", long)).await, Some(true));
        assert_eq!(ask(&command("exit 3", long)).await, Some(false));
        assert_eq!(ask(&command("test \"$FAILBACK_PAIR $FAILBACK_EPOCH\" = 'AGG_V 7'", long)).await, Some(true));
        assert_eq!(ask(&command("kill -9 $$", long)).await, None);
    }

    /// One thread does everything but the start.
    #[tokio::test]
    async fn a_command_that_takes_long_to_start_keeps_nobody_waiting() {
        let (threads, (end, ended)) =
            (Threads { lookups: Share::default(), starts: Share::default() }, std::sync::mpsc::channel::<()>());
        let ended = Arc::new(std::sync::Mutex::new(ended));
        let busy = (0..8).map(|_| {
            let (starts, ended) = (threads.starts.clone(), Arc::clone(&ended));
            tokio::spawn(async move { starts.run(move || ended.lock().is_ok_and(|ended| ended.recv().is_ok())).await })
        });
        let busy: Vec<_> = busy.collect();
        tokio::task::yield_now().await;
        let source = command("exit 0", Duration::from_millis(50));
        assert_eq!(poll(&source, &"AGG_V".into(), Epoch(7), &threads).await, None, "all threads hang");
        drop(end);
        for task in busy {
            task.await.unwrap();
        }
        let source = command("exit 0", Duration::from_secs(20));
        assert_eq!(poll(&source, &"AGG_V".into(), Epoch(7), &threads).await, Some(true));
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_ended_with_its_children() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait", pid.display());
        assert_eq!(ask(&command(&script, Duration::from_millis(500))).await, None);
        let grandchild = std::fs::read_to_string(&pid).unwrap();
        let alive = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", grandchild.trim()));
            stat.is_ok_and(|stat| !stat.contains(") Z "))
        };
        for _ in 0..2000 {
            if !alive() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the command's child {grandchild} is still alive");
    }

    #[tokio::test]
    async fn an_http_source_says_done_by_status_and_text() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string().parse().unwrap();
        let answers =
            ["200 OK\r\n\r\nstate=finished", "200 OK\r\n\r\nstate=running", "503 No\r\n\r\nstate=finished", ""];
        let server = tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.unwrap();
                assert!(request[..length].starts_with(b"GET /resync?pair=AGG_V HTTP/1.1\r\n"));
                stream.write_all(format!("HTTP/1.1 {answer}").as_bytes()).await.unwrap();
            }
        });
        let source = SignalSource::Http {
            authority,
            path: "/resync?pair=AGG_V".into(),
            expect: "state=finished".into(),
            every: Duration::from_secs(1),
        };
        for expected in [Some(true), Some(false), Some(false), None] {
            assert_eq!(ask(&source).await, expected);
        }
        server.await.unwrap();
    }
}
