//! A receiver of webhooks, in plain or with TLS, that can go away and come back at the same address.

use crate::{
    authority::Authority,
    common::{
        address::{free_port, own_ip},
        eventually,
    },
};
use failback::{
    model::tls::{IdentityFiles, TerminateSpec},
    net::tls::server_config,
};
use http_body_util::{BodyExt, Empty};
use hyper::{Request, Response, body::Incoming, header::AUTHORIZATION, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::{
    convert::Infallible,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU16, Ordering::Relaxed},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket},
    runtime::Runtime,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
});

/// The token it is sent. No output of the program may ever contain it.
pub(crate) const TOKEN: &str = "c4nary-of-the-webhook";

pub(crate) struct Hook {
    pub(crate) address: SocketAddr,
    authority: Option<Authority>,
    acceptor: Option<TlsAcceptor>,
    seen: Arc<Seen>,
    serving: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    status: AtomicU16,
    posts: Mutex<Vec<Value>>,
    refused: Mutex<usize>,
}

impl Hook {
    /// One that is not there yet.
    pub(crate) fn absent() -> Self {
        let seen = Arc::new(Seen { status: 204.into(), ..Seen::default() });
        Self { address: free_port(own_ip()), authority: None, acceptor: None, seen, serving: None }
    }

    pub(crate) fn start() -> Self {
        let mut hook = Self::absent();
        hook.revive();
        hook
    }

    /// One that speaks TLS, with a private authority.
    pub(crate) fn secure() -> Self {
        let mut hook = Self::absent();
        let authority = Authority::new();
        let identity = authority.server("hook", &[&hook.address.ip().to_string()]);
        let files = IdentityFiles { cert: identity.with_extension("pem"), key: identity.with_extension("key") };
        let spec = TerminateSpec { identities: vec![files], client_ca: None, client_names: [].into(), alpn: [].into() };
        hook.acceptor = Some(TlsAcceptor::from(Arc::new(server_config(&spec).unwrap().0)));
        hook.authority = Some(authority);
        hook.revive();
        hook
    }

    /// Its entry of `[alerts] webhooks`; the path is a secret, too.
    pub(crate) fn toml(&self, token_file: &Path) -> String {
        let (scheme, ca) = match &self.authority {
            Some(authority) => ("https", format!(", ca = {:?}", authority.ca())),
            None => ("http", String::new()),
        };
        format!("{{ url = \"{scheme}://{}/c4nary-path\", token_file = {token_file:?}{ca} }}", self.address)
    }

    pub(crate) fn revive(&mut self) {
        let listener = {
            let _inside = RUNTIME.enter();
            eventually("the address can be bound", || listen(self.address).ok())
        };
        self.serving = Some(RUNTIME.spawn(serve(listener, self.acceptor.clone(), Arc::clone(&self.seen))));
    }

    /// What it answers from now on.
    pub(crate) fn answers(&self, status: u16) {
        self.seen.status.store(status, Relaxed);
    }

    /// The bodies it took.
    pub(crate) fn posts(&self) -> Vec<Value> {
        self.seen.posts.lock().unwrap().clone()
    }

    /// How often it refused one.
    pub(crate) fn refused(&self) -> usize {
        *self.seen.refused.lock().unwrap()
    }

    /// All alerts it took, in order.
    pub(crate) fn alerts(&self) -> Vec<Value> {
        self.posts().iter().flat_map(|post| post["alerts"].as_array().unwrap().clone()).collect()
    }

    /// Those of this kind and phase.
    pub(crate) fn alerts_of(&self, kind: &str, phase: &str) -> Vec<Value> {
        let mut alerts = self.alerts();
        alerts.retain(|alert| alert["kind"] == kind && alert["phase"] == phase);
        alerts
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(64)
}

async fn serve(listener: TcpListener, acceptor: Option<TlsAcceptor>, seen: Arc<Seen>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
        tokio::spawn(async move {
            match acceptor {
                Some(acceptor) => match acceptor.accept(stream).await {
                    Ok(secure) => converse(secure, seen).await,
                    Err(_refused) => {}
                },
                None => converse(stream, seen).await,
            }
        });
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, seen: Arc<Seen>) {
    let service = service_fn(|request| take(request, Arc::clone(&seen)));
    let _broken = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn take(request: Request<Incoming>, seen: Arc<Seen>) -> Result<Response<Empty<hyper::body::Bytes>>, Infallible> {
    let known = request.headers().get(AUTHORIZATION).is_some_and(|value| value == &format!("Bearer {TOKEN}"));
    let good = known && request.method() == "POST" && request.uri().path() == "/c4nary-path";
    let status = if good { seen.status.load(Relaxed) } else { 401 };
    let body = request.into_body().collect().await.expect("a body").to_bytes();
    if status < 300 {
        seen.posts.lock().unwrap().push(serde_json::from_slice(&body).expect("JSON"));
    } else {
        *seen.refused.lock().unwrap() += 1;
    }
    Ok(Response::builder().status(status).body(Empty::new()).unwrap())
}
