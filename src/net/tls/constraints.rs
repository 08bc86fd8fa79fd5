//! Authorities that may vouch for some names only (RFC 5280 §4.2.1.10). webpki holds a certificate's alternative names against their
//! limits, and the Common Name against nothing; so where it counts, nobody on the way may be limited.

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, UnixTime},
};
use webpki::{EndEntityCert, Error, KeyUsage, VerifiedPath};
use x509_parser::{certificate::X509Certificate, oid_registry::OID_X509_EXT_NAME_CONSTRAINTS, prelude::FromDer};

/// Does a way lead from `leaf` to one of `roots` on which nobody is limited to certain names? The certificate itself has been
/// verified before.
pub(super) fn unlimited(
    roots: &RootCertStore,
    leaf: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
    now: UnixTime,
    usage: KeyUsage,
) -> bool {
    let Ok(parsed) = EndEntityCert::try_from(leaf) else { return false };
    let free = |path: &VerifiedPath<'_>| {
        let limited = path.anchor().name_constraints.is_some()
            || path.intermediate_certificates().any(|issuer| is_limited(&issuer.der()));
        // The search goes on with another way, if there is one.
        if limited { Err(Error::NameConstraintViolation) } else { Ok(()) }
    };
    let algorithms = super::verify::algorithms().all;
    parsed.verify_for_usage(algorithms, &roots.roots, others, now, usage, None, Some(&free)).is_ok()
}

fn is_limited(issuer: &[u8]) -> bool {
    let parsed = X509Certificate::from_der(issuer).map(|(_, parsed)| parsed);
    parsed.map_or(true, |parsed| parsed.extensions().iter().any(|found| found.oid == OID_X509_EXT_NAME_CONSTRAINTS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair,
        NameConstraints,
    };

    /// An authority, limited or not, and what it signs with `CN=AGG_V` and no other name.
    fn signed_by(limited: bool) -> (RootCertStore, CertificateDer<'static>) {
        let mut authority = CertificateParams::default();
        authority.distinguished_name.push(DnType::CommonName, "authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.name_constraints = limited.then(|| NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("example.net".into())],
            excluded_subtrees: Vec::new(),
        });
        let key = KeyPair::generate().unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(authority.self_signed(&key).unwrap().der().clone()).unwrap();
        let mut leaf = CertificateParams::default();
        leaf.distinguished_name.push(DnType::CommonName, "AGG_V");
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = leaf.signed_by(&KeyPair::generate().unwrap(), &Issuer::new(authority, key)).unwrap();
        (roots, leaf.der().clone())
    }

    #[test]
    fn a_common_name_counts_only_where_nobody_on_the_way_is_limited_to_certain_names() {
        for limited in [false, true] {
            let (roots, leaf) = signed_by(limited);
            let free = unlimited(&roots, &leaf, &[], UnixTime::now(), KeyUsage::server_auth());
            assert_eq!(free, !limited);
        }
    }
}
