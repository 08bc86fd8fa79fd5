//! Certificates to try things with. Whoever trusts this authority trusts whoever can read its key.

use super::MakeArgs;
use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    time::{Duration, SystemTime},
};

/// A clock that is a little behind must not see them as of tomorrow.
const BEFORE: Duration = Duration::from_secs(3600);

pub(super) fn make(args: &MakeArgs) -> anyhow::Result<()> {
    let folder = &args.dir;
    let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(folder);
    made.with_context(|| format!("{} cannot be made", folder.display()))?;
    let authority = authority(folder, args.days)?;
    let server = if args.common_name_only { legacy(&args.pair) } else { named(&args.pair, &args.names)? };
    issue(folder, &args.pair, server, ExtendedKeyUsagePurpose::ServerAuth, &authority, args.days)?;
    issue(folder, &args.client, legacy(&args.client), ExtendedKeyUsagePurpose::ClientAuth, &authority, args.days)?;
    let (folder, pair, client) = (folder.display(), &args.pair, &args.client);
    let common_name = if args.common_name_only { ", common_name = \"if-no-san\"" } else { "" };
    say(&format!(
        "\nThe pair trusts whom this authority vouches for:\n\n  [pairs.{pair}]\n  tls = {{ ca = \"{folder}/ca.pem\"{common_name} }}\n\n\
         A route that ends TLS itself:\n\n  [routes.NAME]\n  tls = {{ cert = \"{folder}/{pair}.pem\", key = \"{folder}/{pair}.key\" }}\n\n\
         {folder}/{client}.pem is for a client, or for the pair's `cert` and `key`. For development only: who has\n\
         {folder}/ca.key can be anybody.\n"
    ))
}

/// The one that is there already, or a new one.
fn authority(folder: &Path, days: u16) -> anyhow::Result<Issuer<'static, KeyPair>> {
    let (cert, key) = (folder.join("ca.pem"), folder.join("ca.key"));
    if cert.exists() && key.exists() {
        say(&format!("{} is there already, and signs\n", cert.display()))?;
        let read = |path: &Path| fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()));
        let key_pair = KeyPair::from_pem(&read(&key)?).with_context(|| key.display().to_string())?;
        return Issuer::from_ca_cert_pem(&read(&cert)?, key_pair).with_context(|| cert.display().to_string());
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name("failback development CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid_for(&mut params, days);
    let key_pair = KeyPair::generate()?;
    write(&key, &key_pair.serialize_pem(), 0o600)?;
    write(&cert, &params.self_signed(&key_pair)?.pem(), 0o644)?;
    Ok(Issuer::new(params, key_pair))
}

fn issue(
    folder: &Path,
    name: &str,
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
    write(&folder.join(format!("{name}.key")), &key_pair.serialize_pem(), 0o600)?;
    write(&folder.join(format!("{name}.pem")), &certificate.pem(), 0o644)
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

/// A new file; one that is there already is somebody's.
fn write(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = match opened {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            anyhow::bail!("{} is there already; remove it, or choose another folder with --dir", path.display())
        }
        opened => opened.with_context(|| format!("{} cannot be made", path.display()))?,
    };
    file.write_all(text.as_bytes()).with_context(|| path.display().to_string())?;
    say(&format!("{}{}\n", path.display(), if mode == 0o600 { "  (keep it secret)" } else { "" }))
}

fn say(text: &str) -> anyhow::Result<()> {
    crate::cli::write(text)
}
