//! Certificates for the ends and the proxies between them: a CA, and what a pair's servers and the proxy itself show.

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use std::{fs, path::Path};

/// The name that the certificate carries, unless another is given.
pub(crate) const NAME: &str = "agg-v.example";

/// Makes `ca.pem`, `cert.pem`, `key.pem`, and `both.pem` with the certificate and its key, in `dir`. Keys are ECDSA P-256.
///
/// # Errors
/// The files can't be written.
pub(crate) fn make(dir: &Path, name: &str) -> anyhow::Result<()> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "failback bench CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let ca = params.self_signed(&key)?.pem();
    let issuer = Issuer::new(params, key);

    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let cert = params.signed_by(&key, &issuer)?.pem();
    let key = key.serialize_pem();

    fs::create_dir_all(dir)?;
    for (file, text) in [("ca.pem", &ca), ("cert.pem", &cert), ("key.pem", &key), ("both.pem", &(cert.clone() + &key))]
    {
        let path = dir.join(file);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
