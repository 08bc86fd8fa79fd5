//! A node that tells of alerts, logs all it can, and must never say a secret.

use crate::{
    common::{
        address::{free_ports, own_ip},
        admin::Admin,
        proxy::Proxy,
        server::Server,
    },
    exim::PASSWORD,
    hook::{Hook, TOKEN},
};
use failback::model::view::HealthName;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

/// A pair's servers and the node before them.
pub(crate) struct Node {
    pub(crate) proxy: Proxy,
    pub(crate) primary: Server,
    pub(crate) backup: Server,
}

impl Node {
    /// With these lines of `[alerts]`, and `more` at the end of the file.
    pub(crate) fn start(alerts: &str, more: impl FnOnce(&Server, &Server) -> String) -> Self {
        let (primary, backup) = (Server::start("AGG_P"), Server::start("AGG_B"));
        let pair = format!(
            "primary = {}\nbackups = [{}]\nfailback = {{ stable_for = \"100ms\" }}\n",
            primary.toml(),
            backup.toml()
        );
        let more = more(&primary, &backup);
        let proxy = launched(&pair, &format!("[alerts]\n{alerts}\n{more}"));
        let node = Self { proxy, primary, backup };
        node.proxy.until_health("AGG_P", HealthName::Up);
        node.proxy.until_admissible("AGG_B");
        node
    }

    /// With alerts and nothing else.
    pub(crate) fn telling(alerts: &str) -> Self {
        Self::start(alerts, |_, _| String::new())
    }

    /// With one webhook, and more lines of `[alerts]`.
    pub(crate) fn posting(hook: &Hook, more: &str) -> Self {
        Self::telling(&format!("webhooks = [{}]\n{more}", hook.toml(&secret(TOKEN))))
    }

    /// `kill -9` of the primary, and the failover after it.
    pub(crate) fn fail_over(&self) {
        self.primary.kill();
        self.proxy.until("failed over", |pair| &*pair.active_upstream == "AGG_B");
    }

    /// No output whatever has a secret in it.
    pub(crate) fn assert_nothing_leaked(mut self) {
        let mut outputs = vec![self.proxy.process().printed()];
        for path in ["/api/v1/status", "/api/v1/events", "/metrics", "/api/v1/openapi.json"] {
            outputs.push(self.proxy.admin.get(path).unwrap().1);
        }
        for command in [&["status"][..], &["events"], &["alerts", "test"]] {
            let output = self.proxy.cli(command);
            outputs.extend([output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
        }
        self.proxy.kill();
        for file in fs::read_dir(self.proxy.dir().join("state")).unwrap() {
            outputs.push(String::from_utf8_lossy(&fs::read(file.unwrap().path()).unwrap()).into_owned());
        }
        for output in outputs {
            assert!(!output.contains("c4nary"), "{output}");
        }
    }
}

/// A node with these lines of the pair, and the rest of the file after the route. It logs all it can.
pub(crate) fn launched(pair: &str, rest: &str) -> Proxy {
    let ip = own_ip();
    let wrapper = ["env", "FAILBACK_LOG=trace"].map(Into::into).to_vec();
    let [route, api] = free_ports(ip);
    let mut proxy = Proxy::at(route, Admin::Tcp(api), wrapper, pair);
    let text = fs::read_to_string(proxy.config()).unwrap();
    fs::write(proxy.config(), format!("{text}\n{rest}")).unwrap();
    proxy.launch();
    proxy
}

/// A file with this secret.
pub(crate) fn secret(text: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Relaxed);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("secret-{}-{number}", std::process::id()));
    fs::write(&path, format!("{text}\n")).unwrap();
    path
}

/// The mail server's password in a file.
pub(crate) fn password() -> PathBuf {
    secret(PASSWORD)
}
