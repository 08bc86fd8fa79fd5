//! An upstream that speaks TLS (or none) and says how its sessions ended. What is sent to it comes back with its name before
//! it, line by line.

use crate::common::{address::own_address, eventually};
use rustls::{
    HandshakeKind, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
    runtime::Runtime,
};
use tokio_rustls::TlsAcceptor;

/// How a session that had spoken ended, as the server saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Orderly,
    CutShort,
}

pub(crate) struct Server {
    name: &'static str,
    pub(crate) address: SocketAddr,
    config: Option<Arc<ServerConfig>>,
    runtime: Option<Runtime>,
    ends: Arc<Mutex<Vec<End>>>,
    /// Of the sessions so far: was it resumed, and the application protocol.
    shaken: Arc<Mutex<Vec<(bool, String)>>>,
}

impl Server {
    pub(crate) fn plain(name: &'static str) -> Self {
        Self::start(name, None)
    }

    /// With the certificate at `identity` (`.pem` and `.key`).
    pub(crate) fn secure(name: &'static str, identity: &Path) -> Self {
        Self::start(name, Some(Arc::new(config(identity, None))))
    }

    /// It also wants a certificate that `ca` vouches for.
    pub(crate) fn strict(name: &'static str, identity: &Path, ca: &Path) -> Self {
        Self::start(name, Some(Arc::new(config(identity, Some(ca)))))
    }

    /// With application protocols, most wanted first.
    pub(crate) fn speaking(name: &'static str, identity: &Path, protocols: &[&str]) -> Self {
        let mut config = config(identity, None);
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Self::start(name, Some(Arc::new(config)))
    }

    fn start(name: &'static str, config: Option<Arc<ServerConfig>>) -> Self {
        let mut server =
            Self { name, address: own_address(), config, runtime: None, ends: Arc::default(), shaken: Arc::default() };
        server.revive();
        server
    }

    pub(crate) fn toml(&self) -> String {
        format!("{{ name = \"{}\", address = \"{}\" }}", self.name, self.address)
    }

    pub(crate) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        eventually("a killed server listens no more", || std::net::TcpStream::connect(self.address).err());
    }

    pub(crate) fn revive(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener =
            eventually("the address can be bound", || runtime.block_on(TcpListener::bind(self.address)).ok());
        let (name, config, ends) = (self.name, self.config.clone(), Arc::clone(&self.ends));
        let shaken = Arc::clone(&self.shaken);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (config, ends, shaken) = (config.clone(), Arc::clone(&ends), Arc::clone(&shaken));
                tokio::spawn(async move {
                    match config {
                        None => echo(name, stream, &ends).await,
                        Some(config) => match TlsAcceptor::from(config).accept(stream).await {
                            Ok(stream) => {
                                let connection = stream.get_ref().1;
                                let resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
                                let protocol = connection.alpn_protocol().unwrap_or_default();
                                shaken.lock().unwrap().push((resumed, String::from_utf8_lossy(protocol).into_owned()));
                                echo(name, stream, &ends).await;
                            }
                            Err(_refused) => {}
                        },
                    }
                });
            }
        });
        self.runtime = Some(runtime);
    }

    /// Of each handshake so far: was the session resumed, and the application protocol agreed upon.
    pub(crate) fn shaken(&self) -> Vec<(bool, String)> {
        self.shaken.lock().unwrap().clone()
    }

    /// How the first session that spoke ended.
    pub(crate) fn first_end(&self) -> End {
        eventually("a session has ended", || self.ends.lock().unwrap().first().copied())
    }
}

pub(crate) fn config(identity: &Path, clients: Option<&Path>) -> ServerConfig {
    let chain = CertificateDer::pem_file_iter(identity.with_extension("pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(identity.with_extension("key")).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    builder.with_single_cert(chain, key).unwrap()
}

async fn echo(name: &str, stream: impl AsyncRead + AsyncWrite + Unpin, ends: &Mutex<Vec<End>>) {
    let mut stream = BufReader::new(stream);
    let (mut line, mut spoken) = (String::new(), false);
    let end = loop {
        match stream.read_line(&mut line).await {
            Ok(0) => break End::Orderly,
            Err(_) => break End::CutShort,
            Ok(_) => {
                spoken = true;
                let answer = format!("{name}:{line}");
                if line == "bye\n" {
                    // It has the last word, and the client has sent its FIN before.
                    continue;
                }
                if stream.write_all(answer.as_bytes()).await.and(stream.flush().await).is_err() {
                    break End::CutShort;
                }
            }
        }
        line.clear();
    };
    if end == End::Orderly && spoken {
        let _gone = stream.write_all(format!("{name}:the end\n").as_bytes()).await;
        let _gone = stream.shutdown().await;
    }
    if spoken {
        ends.lock().unwrap().push(end);
    }
}
