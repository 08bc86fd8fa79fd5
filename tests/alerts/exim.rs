//! Exim with a configuration, port and mailbox of its own: it takes mail only in TLS and from who has logged in.

use crate::{
    authority::Authority,
    common::{
        address::{free_port, own_ip},
        eventually,
        process::Process,
    },
};
use std::{
    fs,
    net::{SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// The password it wants. No output of the program may ever contain it.
pub(crate) const PASSWORD: &str = "c4nary-of-the-mail-server";

pub(crate) struct Exim {
    _process: Process,
    address: SocketAddr,
    authority: Authority,
    dir: TempDir,
    /// The lines of `[alerts] smtp` about TLS.
    tls: &'static str,
}

impl Exim {
    /// With STARTTLS.
    pub(crate) fn start() -> Self {
        Self::with("")
    }

    /// With TLS from the start.
    pub(crate) fn implicit() -> Self {
        Self::with(", tls = \"implicit\"")
    }

    fn with(tls: &'static str) -> Self {
        let exim = Self::at(free_port(own_ip()), &[], tls);
        eventually("the mail server listens", || TcpStream::connect(exim.address).ok());
        exim
    }

    /// At this address, on the host that `wrapper` leads to; it listens a moment later.
    pub(crate) fn at(address: SocketAddr, wrapper: &[&str], tls: &'static str) -> Self {
        let (dir, authority, ip) = (TempDir::new().expect("a directory"), Authority::new(), address.ip());
        let identity = authority.server("mail", &[&ip.to_string()]);
        open_to_all(dir.path(), 0o755);
        for part in ["spool", "mail", "log"] {
            fs::create_dir(dir.path().join(part)).unwrap();
            open_to_all(&dir.path().join(part), 0o777);
        }
        for end in ["pem", "key"] {
            let copy = dir.path().join("server").with_extension(end);
            fs::copy(identity.with_extension(end), &copy).unwrap();
            open_to_all(&copy, 0o644);
        }
        let file = dir.path().join("exim.conf");
        fs::write(&file, configuration(dir.path(), address, !tls.is_empty())).unwrap();
        let argv = ["exim4", "-C", file.to_str().unwrap(), "-bdf", "-q1s"];
        let path = format!("PATH={}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let argv = [wrapper, &["env", &path], &argv].concat();
        let process = Process::start(&argv, &dir.path().join("printed"));
        Self { _process: process, address, authority, dir, tls }
    }

    /// `[alerts] smtp` for it; the password comes from `password_file`.
    pub(crate) fn toml(&self, to: &[&str], password_file: &Path) -> String {
        let (address, ca, tls) = (self.address, self.authority.ca(), self.tls);
        format!(
            "smtp = {{ host = \"{address}\", from = \"failback <failback@example.net>\", to = {to:?}, user = \"failback\", \
             password_file = {password_file:?}, ca = {ca:?}{tls} }}\n"
        )
    }

    /// The mails in the box, each with its headers and the envelope's recipient.
    pub(crate) fn mails(&self) -> Vec<String> {
        let box_of_all = fs::read_to_string(self.inbox()).unwrap_or_default();
        box_of_all.split("From failback@example.net ").skip(1).map(Into::into).collect()
    }

    /// Those whose subject or text has `words` in it.
    pub(crate) fn mails_with(&self, words: &str) -> Vec<String> {
        let mut mails = self.mails();
        mails.retain(|mail| mail.contains(words));
        mails
    }

    fn inbox(&self) -> PathBuf {
        self.dir.path().join("mail/inbox")
    }
}

fn open_to_all(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn configuration(dir: &Path, address: SocketAddr, implicit: bool) -> String {
    let (dir, ip, port) = (dir.display(), address.ip(), address.port());
    let tls_ports = if implicit { port.to_string() } else { String::new() };
    format!(
        "primary_hostname = mail.example.net
keep_environment =
spool_directory = {dir}/spool
log_file_path = {dir}/log/%slog
pid_file_path =
local_interfaces = {ip}
daemon_smtp_ports = {port}
tls_on_connect_ports = {tls_ports}
tls_advertise_hosts = *
tls_certificate = {dir}/server.pem
tls_privatekey = {dir}/server.key
acl_smtp_rcpt = rcpt
auth_advertise_hosts = ${{if def:tls_in_cipher{{*}}{{}}}}
host_lookup =
rfc1413_query_timeout = 0s
deliver_drop_privilege = true

begin acl
rcpt:
  deny message = no such user here
    local_parts = nobody
  accept authenticated = *
  deny message = log in first

begin routers
all:
  driver = accept
  transport = box

begin transports
box:
  driver = appendfile
  file = {dir}/mail/inbox
  envelope_to_add

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{failback}}}}{{eq{{$auth3}}{{{PASSWORD}}}}}}}}}
  server_set_id = $auth2
"
    )
}
