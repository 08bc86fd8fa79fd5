//! A certificate authority and what it signs, in a directory of its own.

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use std::{
    fs,
    path::PathBuf,
    time::{Duration, SystemTime},
};
use tempfile::TempDir;

/// What is signed.
pub(crate) struct Wish<'a> {
    pub(crate) common_name: &'a str,
    /// Host names; what looks like an IP address becomes one.
    pub(crate) dns: &'a [&'a str],
    pub(crate) usage: ExtendedKeyUsagePurpose,
    /// Days from now until it ends; negative: it has ended.
    pub(crate) days: i64,
    /// Days from now until it begins.
    pub(crate) since: i64,
}

impl Default for Wish<'_> {
    fn default() -> Self {
        Self { common_name: "server", dns: &[], usage: ExtendedKeyUsagePurpose::ServerAuth, days: 90, since: -30 }
    }
}

pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    dir: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::called("Test authority")
    }

    pub(crate) fn called(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(params, key), dir }
    }

    /// Its own certificate's file.
    pub(crate) fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes `NAME.pem` and `NAME.key`, each by an atomic rename, and returns `NAME` with its path.
    pub(crate) fn sign(&self, name: &str, wish: &Wish<'_>) -> PathBuf {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, wish.common_name);
        let alternative = |name: &&str| match name.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName((*name).try_into().unwrap()),
        };
        params.subject_alt_names = wish.dns.iter().map(alternative).collect();
        params.extended_key_usages = vec![wish.usage.clone()];
        params.is_ca = IsCa::ExplicitNoCa;
        let now = SystemTime::now();
        let day = Duration::from_secs(86_400);
        let from_now = |days: i64| {
            let span = day * u32::try_from(days.unsigned_abs()).unwrap();
            if days < 0 { now - span } else { now + span }
        };
        params.not_before = from_now(wish.since).into();
        params.not_after = from_now(wish.days).into();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        self.replace(&format!("{name}.key"), &key.serialize_pem());
        self.replace(&format!("{name}.pem"), &certificate.pem());
        self.path(name)
    }

    /// One with DNS names, good for a server.
    pub(crate) fn server(&self, name: &str, dns: &[&str]) -> PathBuf {
        self.sign(name, &Wish { dns, ..Wish::default() })
    }

    fn replace(&self, name: &str, text: &str) {
        fs::write(self.path("new"), text).unwrap();
        fs::rename(self.path("new"), self.path(name)).unwrap();
    }
}
