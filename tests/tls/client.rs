//! A TLS client under the test's control: it may leave without a word.

use crate::common::SOON;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
};

pub(crate) struct Client {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
}

impl Client {
    /// Connects, asks for `name`, and accepts what `ca` vouches for.
    pub(crate) fn connect(to: SocketAddr, ca: &Path, name: &str) -> std::io::Result<Self> {
        Self::with(to, config(ca, None), name)
    }

    /// The same, showing a certificate.
    pub(crate) fn showing(to: SocketAddr, ca: &Path, name: &str, identity: &Path) -> std::io::Result<Self> {
        Self::with(to, config(ca, Some(identity)), name)
    }

    pub(crate) fn with(to: SocketAddr, config: ClientConfig, name: &str) -> std::io::Result<Self> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).map_err(std::io::Error::other)?;
        let socket = TcpStream::connect_timeout(&to, SOON)?;
        socket.set_read_timeout(Some(SOON))?;
        socket.set_write_timeout(Some(SOON))?;
        let mut stream = StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self { stream: BufReader::new(stream) })
    }

    pub(crate) fn ask(&mut self, words: &str) -> std::io::Result<String> {
        self.stream.get_mut().write_all(format!("{words}\n").as_bytes())?;
        self.hear()
    }

    pub(crate) fn hear(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        Ok(line.trim_end().into())
    }

    /// Says that it will send no more, and hears what is still to come.
    pub(crate) fn say_end(&mut self) -> std::io::Result<String> {
        let stream = self.stream.get_mut();
        stream.conn.send_close_notify();
        stream.flush()?;
        let mut rest = String::new();
        self.stream.read_to_string(&mut rest)?;
        Ok(rest)
    }

    /// FIN without a word before it.
    pub(crate) fn cut(&mut self) {
        self.stream.get_mut().sock.shutdown(std::net::Shutdown::Write).unwrap();
    }

    /// The names in the certificate that was shown.
    pub(crate) fn shown(&self) -> Vec<String> {
        let shown = self.stream.get_ref().conn.peer_certificates().unwrap();
        failback::net::tls::Certificate::read(&shown[0]).unwrap().names.dns
    }

    /// Was the session resumed, and the application protocol agreed upon?
    pub(crate) fn shaken(&self) -> (bool, String) {
        let connection = &self.stream.get_ref().conn;
        let protocol = connection.alpn_protocol().unwrap_or_default();
        let resumed = connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
        (resumed, String::from_utf8_lossy(protocol).into_owned())
    }

    pub(crate) fn stream(&mut self) -> &mut StreamOwned<ClientConnection, TcpStream> {
        self.stream.get_mut()
    }
}

pub(crate) fn config(ca: &Path, identity: Option<&Path>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain =
                CertificateDer::pem_file_iter(identity.with_extension("pem")).unwrap().map(Result::unwrap).collect();
            let key = PrivateKeyDer::from_pem_file(identity.with_extension("key")).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    }
}
