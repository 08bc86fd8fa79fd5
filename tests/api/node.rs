//! Nodes with what these tests need: tokens, a metrics listener.

use super::{
    common::{proxy::Proxy, server::Server},
    wire,
};
use failback::model::view::HealthName;
use serde_json::Value;
use std::{fs, net::SocketAddr};

/// One of each scope; `other` is for a pair that is not there.
pub(crate) const TOKENS: &str =
    "reader:read:r3ad\nagg:resync:AGG_V:s1gnal\nother:resync:OTHER:0ther\nops:operate:0perate\n";

/// A node and its servers.
pub(crate) struct Node {
    pub(crate) proxy: Proxy,
    pub(crate) primary: Server,
    pub(crate) backup: Server,
}

impl Node {
    /// Without tokens.
    pub(crate) fn start() -> Self {
        Self::with(|config| config)
    }

    /// With [`TOKENS`].
    pub(crate) fn with_tokens() -> Self {
        Self::with(|config| config.replace("[admin]\n", "[admin]\ntoken_file = \"admin.token\"\n"))
    }

    /// With a configuration that `edit` made of the usual one.
    pub(crate) fn with(edit: impl Fn(String) -> String) -> Self {
        let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
        let mut proxy = Proxy::prepared(&format!(
            "primary = {}\nbackups = [{}]\nfailback = {{ stable_for = \"100ms\" }}\n",
            primary.toml(),
            backup.toml()
        ));
        fs::write(proxy.dir().join("admin.token"), TOKENS).unwrap();
        let config = fs::read_to_string(proxy.config()).unwrap();
        fs::write(proxy.config(), edit(config)).unwrap();
        proxy.launch();
        Self { proxy, primary, backup }
    }

    /// Waits until a failover would find the backup ready.
    pub(crate) fn until_backup_is_ready(&self) {
        self.proxy.until("the backup is admissible", |pair| {
            pair.upstreams.iter().all(|upstream| upstream.admissible && upstream.health == HealthName::Up)
        });
    }

    /// Where its API listens.
    pub(crate) fn api(&self) -> SocketAddr {
        wire::address(&self.proxy.admin)
    }

    /// The OpenAPI document.
    pub(crate) fn document(&self) -> Value {
        let reply = wire::send(self.api(), "GET /api/v1/openapi.json", &["Authorization: Bearer 0perate"], "");
        assert_eq!(reply.code, 200, "{reply:?}");
        reply.json()
    }

    /// Every operation the document lists, such as `("post", "/api/v1/reload")`, with the pair's name in place.
    pub(crate) fn operations(&self) -> Vec<(String, String)> {
        let document = self.document();
        let mut operations = Vec::new();
        for (path, item) in document["paths"].as_object().expect("paths") {
            let methods = item.as_object().expect("an item").keys();
            let of_path = methods.filter(|key| matches!(key.as_str(), "get" | "post" | "put" | "delete" | "patch"));
            operations.extend(of_path.map(|method| (method.clone(), named(path))));
        }
        assert!(operations.len() >= 16, "{operations:?}");
        operations
    }

    /// The paths of every order there is.
    pub(crate) fn orders(&self) -> Vec<String> {
        self.operations().into_iter().filter(|(method, _)| method != "get").map(|(_, path)| path).collect()
    }
}

/// `path` with the names of what this node has in place.
fn named(path: &str) -> String {
    path.replace("{pair}", "AGG_V").replace("{node}", "PROXY").replace("{seat}", "PROXY")
}

/// A body that the order at `path` accepts.
pub(crate) fn good_body(path: &str) -> &'static str {
    match path.rsplit('/').next() {
        Some("switch") => "{\"to\":\"backup\",\"now\":true,\"force\":true}",
        Some("migration") => "{\"action\":\"force\"}",
        Some("backups") => "{\"address\":\"127.0.0.1:9\",\"reverse\":\"127.0.0.1:9\"}",
        Some("join") => "{\"forward\":\"127.0.0.1:9\",\"reverse\":\"127.0.0.1:9\"}",
        Some("replace") => "{\"with\":\"OTHER\"}",
        Some("role") => "{\"role\":\"backup\"}",
        _ => "{}",
    }
}
