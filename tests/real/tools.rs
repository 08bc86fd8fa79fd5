//! `iperf3` and `curl` through the program: what they measure and fetch is whole.

use crate::common::{
    address::own_address,
    eventually,
    process::{Process, run},
    proxy::Proxy,
};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
};
use tempfile::TempDir;

/// Enough for many turns of every buffer there is.
const FILE_SIZE: usize = 64 << 20;

#[test]
fn iperf3_runs_in_both_directions() {
    let server = own_address();
    let (ip, port) = (server.ip().to_string(), server.port().to_string());
    let logs = TempDir::new().expect("a directory");
    let _server = Process::start(&["iperf3", "-s", "-B", &ip, "-p", &port], &logs.path().join("iperf3.log"));
    eventually("iperf3 listens", || listening(server).then_some(()));
    // A check is a connection, and one in the middle of a run would end it: iperf3 serves one client at a time.
    let proxy = Proxy::with_pair(&format!(
        "primary = {{ name = \"IPERF\", address = \"{server}\" }}\nhealth = {{ interval = \"60s\", timeout = \"1s\" }}"
    ));
    for direction in ["--client", "--reverse --client"] {
        let route = (proxy.route.ip().to_string(), proxy.route.port().to_string());
        let mut argv = vec!["iperf3", "--json", "--bytes", "512M", "--port", &route.1];
        argv.extend(direction.split(' '));
        argv.push(&route.0);
        // The end of a session starts a check, and iperf3 is busy for as long as that connection lasts.
        let (report, bytes) = eventually("iperf3 is free, and reports", || {
            let report: serde_json::Value = serde_json::from_str(&run(&argv)).expect("JSON");
            // What is still under way when the sender says that it is done is not counted.
            let bytes = report["end"]["sum_received"]["bytes"].as_u64()?;
            Some((report, bytes))
        });
        let received = &report["end"]["sum_received"];
        println!("iperf3 {direction}: {:.1} Gbit/s", received["bits_per_second"].as_f64().unwrap_or(0.0) / 1e9);
        assert!(bytes > 256 << 20, "{direction}: {report}");
    }
    assert_eq!(proxy.failovers(), 0.0);
}

#[test]
fn curl_fetches_and_sends_a_big_file_byte_for_byte() {
    let address = http_server();
    let proxy = Proxy::with_pair(&format!("primary = {{ name = \"WEB\", address = \"{address}\" }}"));
    let (file, fetched, echoed) = (proxy.dir().join("file"), proxy.dir().join("fetched"), proxy.dir().join("echoed"));
    fs::write(&file, contents()).expect("a file");
    let url = format!("http://{}/file", proxy.route);
    curl(&["--output", text(&fetched), &url]);
    curl(&["--output", text(&echoed), "--header", "Expect:", "--data-binary", &format!("@{}", text(&file)), &url]);

    let sums = run(&["sha256sum", text(&file), text(&fetched), text(&echoed)]);
    let sums: Vec<&str> = sums.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(sums.len(), 3);
    assert!(sums.iter().all(|sum| *sum == sums[0]), "{sums:?}");
    let bytes = |direction| proxy.admin.metric("failback_bytes_total", &[("direction", direction)]);
    assert!(bytes("to_client") > 2.0 * FILE_SIZE as f64 && bytes("to_upstream") > FILE_SIZE as f64);
}

#[track_caller]
fn curl(words: &[&str]) {
    run(&[&["curl", "--silent", "--show-error", "--fail", "--max-time", "120"], words].concat());
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in words")
}

/// Numbered pages, so that none can be lost or swapped unseen.
fn contents() -> Vec<u8> {
    let page: Vec<u8> = (0..4096_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut contents = Vec::with_capacity(FILE_SIZE + page.len());
    for number in 0.. {
        contents.extend(u64::to_le_bytes(number));
        contents.extend_from_slice(&page);
        if contents.len() >= FILE_SIZE {
            break;
        }
    }
    contents
}

/// A web server of twenty lines: GET gives the file, POST gives back what it got.
fn http_server() -> SocketAddr {
    let listener = TcpListener::bind(own_address()).expect("an own address");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    address
}

fn answer(stream: TcpStream) -> std::io::Result<()> {
    let mut request = BufReader::new(stream);
    let (mut length, mut line) = (None, String::new());
    while request.read_line(&mut line)? > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok();
        }
        line.clear();
    }
    let body = match length {
        None => contents(),
        Some(length) => {
            let mut body = vec![0; length];
            request.read_exact(&mut body)?;
            body
        }
    };
    let stream = request.get_mut();
    write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len())?;
    stream.write_all(&body)
}

/// Looks at the kernel's table: asking the server itself would be a connection.
fn listening(address: SocketAddr) -> bool {
    run(&["ss", "-Hltn", "src", &address.to_string()]).contains(&address.to_string())
}
