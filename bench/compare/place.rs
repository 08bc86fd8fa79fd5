//! Where a program listens and leads to, where it speaks TLS, and how its configuration says so.

use crate::harness::{certs, client::Reach, tls::Tls};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// Where TLS is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shape {
    /// Nowhere.
    Plain,
    /// With clients.
    Terminate,
    /// With servers, whose certificates are verified.
    Originate,
    /// With both.
    Both,
}

/// Where a program listens and leads to.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) listen: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) primary: SocketAddr,
    pub(crate) backup: SocketAddr,
    pub(crate) shape: Shape,
    /// Where the certificates are.
    certs: PathBuf,
}

impl Shape {
    /// TLS with clients?
    fn front(self) -> bool {
        matches!(self, Self::Terminate | Self::Both)
    }

    /// TLS with servers?
    pub(crate) fn back(self) -> bool {
        matches!(self, Self::Originate | Self::Both)
    }
}

impl Place {
    /// Four ports from `first` on; certificates are in `dir`.
    pub(crate) fn at(first: u16, shape: Shape, dir: &Path) -> Self {
        let port = |which: u16| ([127, 0, 0, 1], first + which).into();
        let certs = dir.join(CERTS);
        Self { listen: port(0), admin: port(1), primary: port(2), backup: port(3), shape, certs }
    }

    /// How a client gets there.
    pub(crate) fn reach(&self) -> anyhow::Result<Reach> {
        let tls =
            self.shape.front().then(|| Tls::client(&self.certs.join("ca.pem"), certs::NAME, false)).transpose()?;
        Ok(Reach { target: self.listen, tls })
    }

    /// The same as a client end's words.
    pub(crate) fn words(&self) -> String {
        let ca = self.certs.join("ca.pem");
        let tls = if self.shape.front() { format!(" --tls-ca {}", ca.display()) } else { String::new() };
        format!("--target {}{tls}", self.listen)
    }

    /// A configuration made of a template: `@NAME@` is replaced, `@FRONT{…}@` stays where TLS is spoken with clients,
    /// `@BACK{…}@` where it is spoken with servers.
    pub(crate) fn fill(&self, template: &str, dir: &Path) -> String {
        let mut text = only_if(template, "@FRONT{", self.shape.front());
        text = only_if(&text, "@BACK{", self.shape.back());
        for (name, value) in [("DIR", dir.display()), ("CERTS", self.certs.display())] {
            text = text.replace(&format!("@{name}@"), &value.to_string());
        }
        text = text.replace("@NAME@", certs::NAME);
        let places =
            [("LISTEN", self.listen), ("ADMIN", self.admin), ("PRIMARY", self.primary), ("BACKUP", self.backup)];
        for (name, address) in places {
            text = text
                .replace(&format!("@{name}@"), &address.to_string())
                .replace(&format!("@{name}_HOST@"), &address.ip().to_string())
                .replace(&format!("@{name}_PORT@"), &address.port().to_string());
        }
        text
    }
}

/// The folder of the certificates in the comparison's own.
const CERTS: &str = "certs";

/// Makes them in the comparison's folder; a server end's words that name them.
pub(crate) fn make_certificates(dir: &Path) -> anyhow::Result<String> {
    let certs = dir.join(CERTS);
    certs::make(&certs, certs::NAME)?;
    let file = |name: &str| certs.join(name).display().to_string();
    Ok(format!("--tls-cert {} --tls-key {}", file("cert.pem"), file("key.pem")))
}

/// Keeps what stands between `open` and `}@` or drops it, and drops the marks.
fn only_if(template: &str, open: &str, keep: bool) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once(open) {
        let (inner, after) = behind.split_once("}@").unwrap_or((behind, ""));
        text.push_str(before);
        text.push_str(if keep { inner } else { "" });
        rest = after;
    }
    text + rest
}
