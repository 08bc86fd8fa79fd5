//! What rustls is told: one configuration for each route that ends TLS, one for each upstream that is spoken to in TLS.

use super::{
    failure::VerifyError,
    files::{self, FileError},
    names,
    verify::{self, Accepted, UpstreamVerifier},
};
use crate::model::tls::{IdentityFiles, TerminateSpec, UpstreamTlsSpec};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::Resumption,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use std::{net::IpAddr, path::Path, sync::Arc};

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A file is missing, damaged, or does not fit the other one.
    #[error(transparent)]
    File(#[from] FileError),
    /// The library refuses it.
    #[error("tls can't be set up")]
    Rustls(#[from] rustls::Error),
}

impl SetupError {
    /// The file to look at.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(error) => Some(error.file()),
            Self::Rustls(_) => None,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn mend(&self) -> &'static str {
        match self {
            Self::File(error) => error.mend(),
            Self::Rustls(_) => "compare it with docs/tls.md",
        }
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// TLS as the route's clients see it, and when the certificate of each identity expires, in seconds since 1970.
///
/// # Errors
/// [`SetupError`].
pub fn server_config(spec: &TerminateSpec) -> Result<(ServerConfig, Vec<i64>), SetupError> {
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13, &TLS12])?;
    let builder = match &spec.client_ca {
        Some(ca) => builder.with_client_cert_verifier(verify::client_verifier(files::roots(ca)?, &spec.client_names)?),
        None => builder.with_no_client_auth(),
    };
    let shown = ByName::load(&spec.identities)?;
    let ends = shown.all.iter().filter_map(|(_, identity)| files::not_after(identity)).collect();
    let mut config = builder.with_cert_resolver(Arc::new(shown));
    config.alpn_protocols = spec.alpn.iter().map(|name| name.clone().into_bytes()).collect();
    // Stateless, and renewed by itself: a client resumes with whichever worker gets it.
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok((config, ends))
}

/// TLS to a server that is called by its host's name, as on the web. `ca`: who vouches for it; `None`: whom the system believes.
///
/// # Errors
/// [`SetupError`].
pub fn client_config(ca: Option<&Path>) -> Result<ClientConfig, SetupError> {
    let roots = match ca {
        Some(ca) => files::roots(ca)?,
        None => {
            let mut roots = RootCertStore::empty();
            // What can't be read is missing from the store; a server that needs it is not believed.
            let (_added, _unusable) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            roots
        }
    };
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13, &TLS12])?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// TLS to one upstream of a pair. What is resumed with it began with it, so that no certificate goes unseen.
#[derive(Debug)]
pub struct Connector {
    spec: Arc<UpstreamTlsSpec>,
    verifier: Arc<UpstreamVerifier>,
    identity: Option<Arc<CertifiedKey>>,
}

impl Connector {
    /// Loads what `spec` names.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn load(spec: &Arc<UpstreamTlsSpec>) -> Result<Self, SetupError> {
        let roots = spec.ca.as_deref().map_or_else(|| Ok(RootCertStore::empty()), files::roots)?;
        let identity = spec.identity.as_ref().map(files::identity).transpose()?;
        Ok(Self { spec: Arc::clone(spec), verifier: Arc::new(UpstreamVerifier::new(spec, roots)), identity })
    }

    /// When what we show to upstreams expires, in seconds since 1970.
    #[must_use]
    pub fn not_after(&self) -> Option<i64> {
        self.identity.as_deref().and_then(files::not_after)
    }

    /// For sessions: resumes what it can.
    ///
    /// # Errors
    /// [`SetupError::Rustls`].
    pub fn for_sessions(&self) -> Result<ClientConfig, SetupError> {
        self.config(Resumption::in_memory_sessions(64))
    }

    /// For checks: each one sees the certificate.
    ///
    /// # Errors
    /// [`SetupError::Rustls`].
    pub fn for_checks(&self) -> Result<ClientConfig, SetupError> {
        self.config(Resumption::disabled())
    }

    fn config(&self, resumption: Resumption) -> Result<ClientConfig, SetupError> {
        let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13, &TLS12])?;
        let verifier: Arc<UpstreamVerifier> = Arc::clone(&self.verifier);
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match &self.identity {
            Some(identity) => {
                builder.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(Arc::clone(identity))))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.spec.alpn.iter().map(|name| name.clone().into_bytes()).collect();
        config.resumption = resumption;
        Ok(config)
    }

    /// Would a server with this certificate, and `others` sent with it, be believed?
    ///
    /// # Errors
    /// Why not, and the mend.
    pub fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Accepted, VerifyError> {
        self.verifier.judge(leaf, others, now)
    }

    /// What the upstreams are asked for: the first accepted name that can be asked for (SNI takes no IP address, RFC 6066
    /// §3, and no name that ends in a number).
    #[must_use]
    pub fn ask_for(&self) -> ServerName<'static> {
        let names = self.spec.names.iter().filter(|name| name.parse::<IpAddr>().is_err());
        let mut askable = names.filter_map(|name| ServerName::try_from(name.clone()).ok());
        // An IP address is not sent.
        askable.next().unwrap_or(ServerName::IpAddress(IpAddr::from([0, 0, 0, 0]).into()))
    }
}

/// Certificates by the name a client asks for.
#[derive(Debug)]
struct ByName {
    first: Arc<CertifiedKey>,
    all: Vec<(Vec<String>, Arc<CertifiedKey>)>,
}

impl ByName {
    fn load(identities: &[IdentityFiles]) -> Result<Self, SetupError> {
        let mut all = Vec::new();
        for files in identities {
            let identity = files::identity(files)?;
            all.push((files::names_of(&identity), identity));
        }
        let first = all
            .first()
            .map(|(_, identity)| Arc::clone(identity))
            .ok_or_else(|| SetupError::Rustls(rustls::Error::General("there is no certificate to show".into())))?;
        Ok(Self { first, all })
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name();
        let carries =
            |names: &[String]| asked.is_some_and(|asked| names.iter().any(|name| names::matches(name, asked)));
        let found = self.all.iter().find(|(names, _)| carries(names)).map(|(_, identity)| identity);
        Some(Arc::clone(found.unwrap_or(&self.first)))
    }
}
