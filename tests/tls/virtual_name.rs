//! The pair's name in every shape that two servers may carry it in, with certificates by `failback certs` and programs that
//! others wrote at both ends, through a failover.

use crate::{
    common::{
        address::own_address,
        process::{Process, command},
        proxy::Proxy,
    },
    postgres_server::{Postgres, psql, text},
};
use failback::model::{Side, view::HealthName};
use std::{
    fs,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};
use tempfile::TempDir;

/// An authority and what it signed for the servers of `AGG_V`.
struct Made {
    dir: TempDir,
    primary: PathBuf,
    backup: PathBuf,
    /// What the pair's `tls` has besides `ca`.
    policy: &'static str,
}

impl Made {
    /// Both servers show the same certificate, which has the pair's name.
    fn one_for_both() -> Self {
        let mut made = Self::nothing();
        made.primary = made.sign("one", "AGG_V", &[]);
        made.backup = made.primary.clone();
        made
    }

    /// Each server has its own, with its own name and the pair's.
    fn sharing_the_name() -> Self {
        let mut made = Self::nothing();
        made.primary = made.sign("one", "AGG_P", &["--name", "AGG_V"]);
        made.backup = made.sign("other", "AGG_B", &["--name", "AGG_V"]);
        made
    }

    /// Each server has its own, with the pair's name as the Common Name and no alternative name.
    fn common_name_only() -> Self {
        let mut made = Self::nothing();
        made.primary = made.sign("one", "AGG_V", &["--common-name-only"]);
        made.backup = made.sign("other", "AGG_V", &["--common-name-only"]);
        made.policy = ", common_name = \"if-no-san\"";
        let (one, other) = (fs::read(made.primary.with_extension("pem")), fs::read(made.backup.with_extension("pem")));
        assert_ne!(one.unwrap(), other.unwrap(), "two certificates");
        made
    }

    fn nothing() -> Self {
        Self { dir: TempDir::new().unwrap(), primary: PathBuf::new(), backup: PathBuf::new(), policy: "" }
    }

    /// Runs `failback certs make` and moves the certificate and its key to `to`, so that another of the same name can be made.
    fn sign(&self, to: &str, name: &str, more: &[&str]) -> PathBuf {
        let argv = [&[env!("CARGO_BIN_EXE_failback"), "certs", "make", name][..], more].concat();
        let output = command(&argv).current_dir(self.dir.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let (from, to) = (self.dir.path().join("certs").join(name), self.dir.path().join(to));
        for kind in ["pem", "key"] {
            fs::rename(from.with_extension(kind), to.with_extension(kind)).unwrap();
        }
        to
    }

    fn ca(&self) -> PathBuf {
        self.dir.path().join("certs/ca.pem")
    }

    /// `openssl s_server` with this identity, which answers `GET /server.txt` with its name.
    fn openssl_server(&self, name: &str, identity: &Path) -> (SocketAddr, Process) {
        let (address, pages) = (own_address(), self.dir.path().join(name));
        fs::create_dir(&pages).unwrap();
        fs::write(pages.join("server.txt"), format!("this is {name}\n")).unwrap();
        let (accept, cert, key) = (address.to_string(), identity.with_extension("pem"), identity.with_extension("key"));
        let pages = pages.to_str().unwrap();
        let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
        let server =
            ["env", "-C", pages, "openssl", "s_server", "-WWW", "-accept", &accept, "-cert", cert, "-key", key];
        (address, Process::start(&server, &self.dir.path().join(format!("{name}.log"))))
    }
}

/// All that `openssl s_client` gets for a request, by either version of TLS; it verifies chain and name.
fn s_client(to: SocketAddr, ca: &Path, version: &str) -> String {
    let (to, ca) = (to.to_string(), ca.to_str().unwrap());
    let argv = ["timeout", "20", "openssl", "s_client", version, "-connect", &to, "-servername", "AGG_V", "-quiet"];
    let verify = ["-CAfile", ca, "-verify_return_error", "-verify_hostname", "AGG_V"];
    let mut child = command(&[&argv[..], &verify].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"GET /server.txt HTTP/1.0\r\n\r\n").unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// All that `curl` gets or says; it verifies chain and name.
fn curl(to: SocketAddr, ca: &Path) -> String {
    let (url, connect) =
        (format!("https://AGG_V:{}/server.txt", to.port()), format!("AGG_V:{}:{}", to.port(), to.ip()));
    let argv = ["curl", "-sS", "--max-time", "20", "--cacert", ca.to_str().unwrap(), "--resolve", &connect, &url];
    let output = command(&argv).output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// TLS ends at the proxy and begins anew: `s_client` and `curl` in front, `s_server` behind.
#[track_caller]
fn openssl_fails_over(made: &Made) {
    let (primary, mut process) = made.openssl_server("AGG_P", &made.primary);
    let (backup, _process) = made.openssl_server("AGG_B", &made.backup);
    let (cert, key) = (made.primary.with_extension("pem"), made.primary.with_extension("key"));
    let pair = format!(
        "primary = {{ name = \"AGG_P\", address = \"{primary}\" }}\n\
         backups = [{{ name = \"AGG_B\", address = \"{backup}\" }}]\n\
         tls = {{ ca = {:?}{} }}\n",
        made.ca(),
        made.policy
    );
    let proxy = Proxy::with_route(&pair, &format!("tls = {{ cert = {cert:?}, key = {key:?} }}\n"));
    proxy.until_health("AGG_P", HealthName::Up);
    proxy.until_admissible("AGG_B");
    let all_reach = |server: &str| {
        let words = format!("this is {server}");
        for version in ["-tls1_2", "-tls1_3"] {
            let said = s_client(proxy.route, &made.ca(), version);
            assert!(said.contains(&words), "{version}: {said}");
        }
        let said = curl(proxy.route, &made.ca());
        assert!(said.contains(&words), "{said}");
    };
    all_reach("AGG_P");
    process.kill();
    proxy.settled_on(Side::Backup);
    all_reach("AGG_B");
}

#[test]
fn n8_openssl_and_curl_with_one_certificate_for_both_servers() {
    openssl_fails_over(&Made::one_for_both());
}

#[test]
fn n8_openssl_and_curl_with_certificates_that_share_the_name() {
    openssl_fails_over(&Made::sharing_the_name());
}

#[test]
fn n8_openssl_and_curl_with_common_names_only() {
    openssl_fails_over(&Made::common_name_only());
}

/// PostgreSQL begins in plain and asks for TLS then, so its TLS passes through, and `psql` verifies chain and name.
#[track_caller]
fn psql_fails_over(made: &Made) {
    let (mut primary, backup) = (Postgres::primary("PG_P"), Postgres::primary("PG_B"));
    for (server, name, identity) in [(&primary, "PG_P", &made.primary), (&backup, "PG_B", &made.backup)] {
        server.speak_tls(&identity.with_extension("pem"), &identity.with_extension("key"));
        server.ask(&format!("create table server as select '{name}' as name"));
    }
    let proxy = Proxy::with_pair(&format!("primary = {}\nbackups = [{}]\n", primary.toml(), backup.toml()));
    proxy.until_admissible("PG_B");
    let through = format!(
        "host=AGG_V hostaddr={} port={} user=postgres dbname=postgres sslmode=verify-full sslrootcert={}",
        proxy.route.ip(),
        proxy.route.port(),
        made.ca().display()
    );
    let question = "select name, ssl from server, pg_stat_ssl where pid = pg_backend_pid()";
    let refused = |server| {
        let output = psql(&through.replace("host=AGG_V", "host=AGG_W"), question);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("does not match host name \"AGG_W\""), "{server}: {said}");
    };
    assert_eq!(text(&psql(&through, question)), "PG_P|t");
    refused("PG_P");
    primary.kill();
    proxy.settled_on(Side::Backup);
    assert_eq!(text(&psql(&through, question)), "PG_B|t");
    refused("PG_B");
}

#[test]
fn n8_psql_with_one_certificate_for_both_servers() {
    psql_fails_over(&Made::one_for_both());
}

#[test]
fn n8_psql_with_certificates_that_share_the_name() {
    psql_fails_over(&Made::sharing_the_name());
}

#[test]
fn n8_psql_with_common_names_only() {
    psql_fails_over(&Made::common_name_only());
}
