//! `tls` of pairs and routes. That the files hold what they should is told when they are loaded; here, that they are there.

use crate::config::{
    error::Findings,
    file::{PairTls, Protocol, RouteTls},
    path::FilePath,
    read::{Field, Found},
};
use crate::model::tls::{CommonName, IdentityFiles, Pin, TerminateSpec, UpstreamTlsSpec};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// `[pairs.NAME] tls`; `folder` is the configuration file's.
pub(super) fn pair(
    name: &str,
    raw: &Found<PairTls>,
    folder: &Path,
    findings: &mut Findings,
) -> Option<UpstreamTlsSpec> {
    let pins: Arc<[Pin]> = raw.pins.here().into_iter().flat_map(|pins| pins.iter()).map(|pin| pin.0).collect();
    if raw.ca.is_absent() && pins.is_empty() && !matches!(raw.pins, Field::Bad) {
        let mend = "add `ca = \"FILE\"`, or `pins` of the servers' keys";
        findings.add(&raw.place, "nothing says whom to believe", mend);
    }
    let names = names(&raw.names, findings);
    Some(UpstreamTlsSpec {
        ca: file(&raw.ca, folder, findings),
        names: if names.is_empty() { [name.to_owned()].into() } else { names },
        common_name: raw.common_name.or(CommonName::Never),
        pins,
        identity: identity(&raw.cert, &raw.key, folder, findings),
        alpn: protocols(&raw.alpn),
    })
}

/// `[routes.NAME] tls`.
pub(super) fn route(raw: &Found<RouteTls>, folder: &Path, findings: &mut Findings) -> Option<TerminateSpec> {
    let first = identity(&raw.cert, &raw.key, folder, findings);
    let more = raw.certs.here().into_iter().flat_map(|certs| certs.iter());
    let more = more.filter_map(|one| identity(&one.cert, &one.key, folder, findings)).collect::<Vec<_>>();
    let identities = first.into_iter().chain(more).collect::<Vec<_>>();
    if raw.cert.is_absent() && raw.key.is_absent() && raw.certs.is_absent() {
        findings.add(&raw.place, "there is no certificate to show", "add `cert = \"FILE\"` and `key = \"FILE\"`");
    }
    let client_names = names(&raw.client_names, findings);
    if let Some(named) = raw.client_names.here()
        && raw.client_ca.is_absent()
    {
        let reason = "clients are asked for a certificate only where `client_ca` says whom to believe";
        findings.add(&named.place, reason, "add `client_ca = \"FILE\"`, or remove it");
    }
    let client_ca = file(&raw.client_ca, folder, findings);
    Some(TerminateSpec { identities, client_ca, client_names, alpn: protocols(&raw.alpn) })
}

/// Both files, or neither.
fn identity(
    cert: &Field<FilePath>,
    key: &Field<FilePath>,
    folder: &Path,
    findings: &mut Findings,
) -> Option<IdentityFiles> {
    match (cert, key) {
        (Field::Here(cert), Field::Absent) => {
            findings.add(&cert.place, "a certificate without its key proves nothing", "add `key = \"FILE\"`");
        }
        (Field::Absent, Field::Here(key)) => {
            findings.add(&key.place, "there is no certificate for the key", "add `cert = \"FILE\"`");
        }
        _ => {}
    }
    let (cert, key) = (file(cert, folder, findings), file(key, folder, findings));
    Some(IdentityFiles { cert: cert?, key: key? })
}

pub(super) fn file(raw: &Field<FilePath>, folder: &Path, findings: &mut Findings) -> Option<PathBuf> {
    let found = raw.here()?;
    let path = folder.join(&found.0);
    // Read later, but a typing error is better told with its line.
    if !findings.blind
        && let Err(error) = crate::model::file::open(&path)
    {
        let reason = format!("{} cannot be read: {error}", path.display());
        findings.add(&found.place, reason, "correct the path, or make the file readable");
    }
    findings.files.push((found.place.clone(), path.clone()));
    Some(path)
}

fn names(raw: &Field<Vec<Found<String>>>, findings: &mut Findings) -> Arc<[String]> {
    let list = raw.here().into_iter().flat_map(|names| names.iter());
    for name in list.clone() {
        let mend = "write a name as certificates carry it, such as `AGG_V` or `agg-v.example.net`, or an IP address";
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            findings.add(&name.place, "a name in a certificate is plain ASCII without spaces", mend);
        } else if name.contains('*') {
            findings.add(&name.place, "what is wanted is one name, not a pattern", mend);
        }
    }
    if let Some(none) = raw.here().filter(|names| names.is_empty()) {
        findings.add(&none.place, "no name would ever be accepted", "name at least one, or remove the key");
    }
    list.map(|name| name.value.clone()).collect()
}

fn protocols(raw: &Field<Vec<Found<Protocol>>>) -> Arc<[String]> {
    raw.here().into_iter().flat_map(|list| list.iter()).map(|protocol| protocol.0.clone()).collect()
}
