//! What the ends speak if they speak TLS: version 1.3, X25519 and AES-128-GCM and nothing else, so that every proxy between
//! them, whatever it would prefer, does the same work.

use super::args;
use anyhow::Context;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::Resumption,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::NoServerSessionStorage,
    version::TLS13,
};
use std::{path::Path, sync::Arc};

/// TLS as one end speaks it.
#[derive(Clone)]
pub(crate) enum Tls {
    /// A client that asks for this name.
    Client(Arc<ClientConfig>, ServerName<'static>),
    /// A server.
    Server(Arc<ServerConfig>),
}

impl Tls {
    /// A client that believes those `ca` vouches for, and resumes its sessions if `resume`.
    ///
    /// # Errors
    /// The file is none of certificates, or the name is none.
    pub(crate) fn client(ca: &Path, name: &str, resume: bool) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(ca)? {
            roots.add(certificate)?;
        }
        let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13])?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.resumption = if resume { Resumption::in_memory_sessions(4096) } else { Resumption::disabled() };
        Ok(Self::Client(Arc::new(config), ServerName::try_from(name.to_owned())?))
    }

    /// What the command line says of a client.
    pub(crate) fn of_client(args: &args::Target) -> anyhow::Result<Option<Self>> {
        let ca = args.tls_ca.as_deref();
        ca.map(|ca| Self::client(ca, &args.tls_name, args.tls_resume)).transpose()
    }

    /// What the command line says of a server. It hands out no tickets: every handshake is a whole one.
    pub(crate) fn of_server(args: &args::Serve) -> anyhow::Result<Option<Self>> {
        let (Some(cert), Some(key)) = (&args.tls_cert, &args.tls_key) else { return Ok(None) };
        let key = PrivateKeyDer::from_pem_file(key).with_context(|| format!("no key in {}", key.display()))?;
        let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13])?;
        let mut config = builder.with_no_client_auth().with_single_cert(certificates(cert)?, key)?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Some(Self::Server(Arc::new(config))))
    }
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let read = || CertificateDer::pem_file_iter(path)?.collect::<Result<_, _>>();
    read().with_context(|| format!("no certificates in {}", path.display()))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        ..aws_lc_rs::default_provider()
    })
}
