//! `tls` of pairs and routes, as written.

use crate::{
    config::{
        error::Findings,
        path::FilePath,
        read::{Found, Given, Read, section, words},
        values::schema,
    },
    model::tls::{CommonName, Pin},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

section! {
    /// TLS to a pair's servers, and who they must be.
    PairTls {
        must {}
        may {
            /// PEM file of the certificates that vouch for the servers'. Needed unless there are `pins`.
            ca: FilePath,
            /// The names of which a server's certificate must carry one. Default: the pair's name.
            names: Vec<Found<String>>,
            /// Does the subject's Common Name count as a name?
            #[schemars(extend("default" = "never"))]
            common_name: CommonName,
            /// Public keys believed whoever vouches for them: `sha256:` and the digest of the `SubjectPublicKeyInfo`.
            #[schemars(extend("default" = []))]
            pins: Vec<Found<KeyPin>>,
            /// PEM file of the certificate shown to servers that ask for one.
            cert: FilePath,
            /// PEM file of its private key.
            key: FilePath,
            /// Application protocols offered (ALPN).
            #[schemars(extend("default" = []))]
            alpn: Vec<Found<Protocol>>,
        }
        later {}
    }
}

words!(CommonName, "CommonName", [
    /// Only alternative names count.
    "never" => CommonName::Never,
    /// Where a certificate has no DNS name among its alternative names at all, the Common Name counts.
    "if-no-san" => CommonName::IfNoSan,
] later []);

section! {
    /// TLS that ends here. Without it clients' bytes pass through untouched.
    RouteTls {
        must {}
        may {
            /// PEM file of the certificate and what leads to its issuer.
            cert: FilePath,
            /// PEM file of its private key.
            key: FilePath,
            /// More certificates, for clients that ask for a name (SNI) that `cert` does not carry.
            certs: Vec<Found<Identity>>,
            /// PEM file of the certificates that vouch for clients'; with it every client must show one.
            client_ca: FilePath,
            /// Names of which a client's certificate must carry one. Default: any that `client_ca` vouches for.
            client_names: Vec<Found<String>>,
            /// Application protocols agreed to (ALPN), most wanted first.
            #[schemars(extend("default" = []))]
            alpn: Vec<Found<Protocol>>,
        }
        later {}
    }
}

section! {
    /// A certificate and its key.
    Identity {
        must {
            /// PEM file of the certificate and what leads to its issuer.
            cert: FilePath,
            /// PEM file of its private key.
            key: FilePath,
        }
        may {}
        later {}
    }
}

/// A public key's digest.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct KeyPin(pub(in crate::config) Pin);

impl Read for KeyPin {
    fn read(given: &Given<'_>, findings: &mut Findings) -> Option<Self> {
        let text = String::read(given, findings)?;
        let pin = text.parse().map(Self);
        let refused = |_| {
            let mend = "write `sha256:` and 64 hexadecimal digits, as `failback certs inspect` shows them";
            findings.add(&given.place, format!("`{text}` is no pin"), mend);
        };
        pin.map_err(refused).ok()
    }
}

schema!(KeyPin, "KeyPin", json_schema!({ "type": "string", "pattern": "^sha256:([0-9A-Fa-f]{2}:?){32}$" }));

/// An application protocol (RFC 7301 §3.1: 1 to 255 bytes).
#[derive(Debug, Clone)]
pub(in crate::config) struct Protocol(pub(in crate::config) String);

impl Read for Protocol {
    fn read(given: &Given<'_>, findings: &mut Findings) -> Option<Self> {
        let text = String::read(given, findings)?;
        let fits = (1..=255).contains(&text.len());
        if !fits {
            let mend = "write its registered name, as in \"h2\" or \"postgresql\"";
            findings.add(&given.place, "a protocol's name has 1 to 255 bytes", mend);
        }
        fits.then_some(Self(text))
    }
}

schema!(Protocol, "Protocol", json_schema!({ "type": "string", "minLength": 1, "maxLength": 255 }));
