//! The harness's two ends inside a test.

use crate::harness::{
    self,
    args::{Mode, Serve},
    report::Report,
    server::Server,
};
use clap::Parser;
use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread::JoinHandle,
};

/// A server end on a thread of its own; dropping it ends it and its sessions.
pub(super) struct End {
    pub(super) address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl End {
    pub(super) fn start(name: &str, store: Option<&Path>) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), name, store)
    }

    pub(super) fn at(listen: SocketAddr, name: &str, store: Option<&Path>) -> Self {
        Self::run(Serve {
            listen: vec![listen],
            name: name.into(),
            store: store.map(Path::to_owned),
            tls_cert: None,
            tls_key: None,
        })
    }

    /// In TLS, with the certificate in `certs`.
    pub(super) fn secure(listen: SocketAddr, certs: &Path) -> Self {
        Self::run(Serve {
            listen: vec![listen],
            name: "AGG_P".into(),
            store: None,
            tls_cert: Some(certs.join("cert.pem")),
            tls_key: Some(certs.join("key.pem")),
        })
    }

    fn run(serve: Serve) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let (tell, told) = mpsc::channel();
        let thread = Some(std::thread::spawn(move || {
            let mut server = Server::bind(&serve).unwrap();
            tell.send(server.addresses().unwrap()[0]).unwrap();
            server.run(&stopped).unwrap();
        }));
        let address = told.recv().unwrap();
        Self { address, stop, thread }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    mode: Mode,
}

/// Runs a client end with the words of a command line.
pub(super) fn load(target: SocketAddr, words: &str) -> Report {
    let seconds = if words.contains("--seconds") { "" } else { "--seconds 0.4" };
    let line = format!("load {words} --target {target} {seconds} --warmup 0.1");
    let mut json = Vec::new();
    harness::end(&Line::parse_from(line.split_whitespace()).mode, true, &mut json).unwrap();
    serde_json::from_slice(&json).unwrap()
}

pub(super) fn is_clean(report: &Report) {
    assert_eq!((report.errors, report.misrouted), (0, 0), "{}", report.table());
}
