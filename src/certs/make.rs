//! Certificates to try things with. Whoever trusts this authority trusts whoever can read its key.

use super::MakeArgs;
use crate::net::tls::certificates;
use anyhow::{Context, anyhow, bail};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::{crypto::aws_lc_rs::default_provider, pki_types::PrivateKeyDer, sign::CertifiedKey};
use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// A clock that is a little behind must not see them as of tomorrow.
const BEFORE: Duration = Duration::from_secs(3600);
/// The authority's files are called so.
const AUTHORITY: &str = "ca";

pub(super) fn make(args: &MakeArgs) -> anyhow::Result<()> {
    let folder = &args.dir;
    // Everything that can be refused is refused before anything is written.
    check_names(args)?;
    let server = if args.common_name_only { legacy(&args.pair) } else { named(&args.pair, &args.names)? };
    let old_authority = authority(folder)?;
    let (pair, client) = (Target::new(folder, &args.pair), Target::new(folder, &args.client));
    if let Some(there) = [&pair.cert, &pair.key].into_iter().find(|file| file.exists()) {
        let (there, cert, key) = (there.display(), pair.cert.display(), pair.key.display());
        bail!(
            "{there} is there already; if nobody needs it remove {cert} and {key}, or choose another folder with --dir"
        );
    }
    let old_client = client.is_whole()?;

    let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(folder);
    made.with_context(|| format!("{} cannot be made", folder.display()))?;
    let authority = match old_authority {
        Some(authority) => {
            say(&format!("{} is there already, and signs\n", folder.join("ca.pem").display()))?;
            authority
        }
        None => new_authority(folder, args.days)?,
    };
    pair.issue(server, ExtendedKeyUsagePurpose::ServerAuth, &authority, args.days)?;
    if old_client {
        say(&format!("{} is there already, and is kept\n", client.cert.display()))?;
    } else {
        client.issue(legacy(&args.client), ExtendedKeyUsagePurpose::ClientAuth, &authority, args.days)?;
    }
    advise(args)
}

fn advise(args: &MakeArgs) -> anyhow::Result<()> {
    let (folder, pair, client) = (args.dir.display(), &args.pair, &args.client);
    let common_name = if args.common_name_only { ", common_name = \"if-no-san\"" } else { "" };
    say(&format!(
        "\nThe pair trusts whom this authority vouches for:\n\n  [pairs.{pair}]\n  tls = {{ ca = \"{folder}/ca.pem\"{common_name} }}\n\n\
         A route that ends TLS itself:\n\n  [routes.NAME]\n  tls = {{ cert = \"{folder}/{pair}.pem\", key = \"{folder}/{pair}.key\" }}\n\n\
         {folder}/{client}.pem is for a client, or for the pair's `cert` and `key`. For development only: who has\n\
         {folder}/ca.key can be anybody.\n"
    ))
}

/// Names become names of files: they must stay in the folder, and apart.
fn check_names(args: &MakeArgs) -> anyhow::Result<()> {
    for name in [&args.pair, &args.client] {
        if name.trim().is_empty() || name.contains('/') || name.starts_with('.') || name.chars().any(char::is_control) {
            bail!(
                "`{}` can't be the name of a file; use letters, digits and `_ - .`, as in AGG_V",
                name.escape_debug()
            );
        }
        if name == AUTHORITY {
            bail!("`{AUTHORITY}` is the authority's own name; choose another");
        }
    }
    if args.pair == args.client {
        bail!("`{}` is the name of the pair and of the client; choose another with --client", args.pair);
    }
    Ok(())
}

/// The one that is there already, if it is whole.
fn authority(folder: &Path) -> anyhow::Result<Option<Issuer<'static, KeyPair>>> {
    let there = Target::new(folder, AUTHORITY);
    if !there.is_whole()? {
        return Ok(None);
    }
    let read = |path: &Path| fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()));
    let (cert, key) = (&there.cert, &there.key);
    let key_pair = KeyPair::from_pem(&read(key)?).with_context(|| key.display().to_string())?;
    let der = PrivateKeyDer::Pkcs8(key_pair.serialize_der().into());
    CertifiedKey::from_der(certificates(cert)?, der, &default_provider()).with_context(|| {
        format!("{} does not fit {}; nothing that it signs would be believed", key.display(), cert.display())
    })?;
    Issuer::from_ca_cert_pem(&read(cert)?, key_pair).with_context(|| cert.display().to_string()).map(Some)
}

fn new_authority(folder: &Path, days: u16) -> anyhow::Result<Issuer<'static, KeyPair>> {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name("failback development CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid_for(&mut params, days);
    let key_pair = KeyPair::generate()?;
    let certificate = params.self_signed(&key_pair)?;
    Target::new(folder, AUTHORITY).write(&key_pair, &certificate.pem())?;
    Ok(Issuer::new(params, key_pair))
}

/// A certificate and its key, as files.
struct Target {
    cert: PathBuf,
    key: PathBuf,
}

impl Target {
    fn new(folder: &Path, name: &str) -> Self {
        let file = |suffix| folder.join(format!("{name}.{suffix}"));
        Self { cert: file("pem"), key: file("key") }
    }

    /// Are both there? One alone is an error: what is left of something that somebody may still need.
    fn is_whole(&self) -> anyhow::Result<bool> {
        match (self.cert.exists(), self.key.exists()) {
            (true, false) => Err(torn(&self.cert, &self.key)),
            (false, true) => Err(torn(&self.key, &self.cert)),
            (both, _) => Ok(both),
        }
    }

    fn issue(
        &self,
        mut params: CertificateParams,
        usage: ExtendedKeyUsagePurpose,
        authority: &Issuer<'_, KeyPair>,
        days: u16,
    ) -> anyhow::Result<()> {
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.is_ca = IsCa::ExplicitNoCa;
        valid_for(&mut params, days);
        let key_pair = KeyPair::generate()?;
        let certificate = params.signed_by(&key_pair, authority)?;
        self.write(&key_pair, &certificate.pem())
    }

    fn write(&self, key: &KeyPair, cert: &str) -> anyhow::Result<()> {
        write(&self.key, &key.serialize_pem(), 0o600)?;
        write(&self.cert, cert, 0o644)
    }
}

fn torn(there: &Path, gone: &Path) -> anyhow::Error {
    let (there, gone) = (there.display(), gone.display());
    anyhow!("{there} is there, {gone} is not; bring it back, remove {there}, or choose another folder with --dir")
}

fn named(pair: &str, more: &[String]) -> anyhow::Result<CertificateParams> {
    let mut params = legacy(pair);
    for name in std::iter::once(pair).chain(more.iter().map(String::as_str)) {
        params.subject_alt_names.push(match name.parse() {
            Ok(ip) => SanType::IpAddress(ip),
            Err(_) => {
                let name = name.try_into().with_context(|| format!("`{name}` is no name: use plain ASCII"))?;
                SanType::DnsName(name)
            }
        });
    }
    Ok(params)
}

fn legacy(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(name);
    params
}

fn common_name(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

fn valid_for(params: &mut CertificateParams, days: u16) {
    let now = SystemTime::now();
    params.not_before = (now - BEFORE).into();
    params.not_after = (now + Duration::from_secs(u64::from(days) * 86_400)).into();
}

/// A new file; one that came meanwhile is somebody's.
fn write(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = opened.with_context(|| format!("{} cannot be made", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| path.display().to_string())?;
    say(&format!("{}{}\n", path.display(), if mode == 0o600 { "  (keep it secret)" } else { "" }))
}

fn say(text: &str) -> anyhow::Result<()> {
    crate::cli::write(text)
}
