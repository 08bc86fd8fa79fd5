//! 9,000 idle sessions under 20,000 descriptors.

use crate::{
    common::{proxy::Proxy, within},
    usage::{descriptors, resident_kib},
};
use socket2::{Domain, Socket, Type};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::Duration,
};

const CROWD: usize = 9_000;
/// For so many, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(120);

/// A listener whose queue is long enough for a crowd: the kernel would pretend that those beyond it are connected.
fn patient_listener() -> (TcpListener, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.listen(4_096).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[test]
fn nine_thousand_idle_sessions_have_two_descriptors_each_and_hardly_any_memory() {
    let (listener, address) = patient_listener();
    let mut proxy = Proxy::with_pair(&format!(
        "primary = {{ name = \"AGG_P\", address = \"{address}\" }}\nhealth = {{ interval = \"30s\", fast_interval = \"5s\" }}"
    ));
    let pid = proxy.process().id();
    let (arrived, upstreams) = mpsc::channel();
    thread::spawn(move || listener.incoming().map_while(Result::ok).all(|stream| arrived.send(stream).is_ok()));

    let (memory, open) = (resident_kib(pid), descriptors(pid));
    let mut clients: Vec<_> = (0..CROWD).map(|_| TcpStream::connect(proxy.route).unwrap()).collect();
    within(PATIENCE, "everybody has a session", || {
        (proxy.admin.metric("failback_sessions", &[("route", "probes")]) == CROWD as f64).then_some(())
    });

    let opened = descriptors(pid).abs_diff(open);
    assert!(opened.abs_diff(2 * CROWD) < 100, "{opened} descriptors");
    let each = (resident_kib(pid) - memory) as f64 / CROWD as f64;
    println!("{each:.2} KiB for each idle session");
    assert!(each < 4.0, "{each:.2} KiB for each idle session");

    for (number, client) in clients.iter_mut().enumerate().step_by(1_000) {
        client.write_all(&(number as u32).to_le_bytes()).unwrap();
    }
    let mut heard = Vec::new();
    let mut crowd: Vec<TcpStream> = Vec::new();
    within(PATIENCE, "all have arrived", || {
        crowd.extend(upstreams.try_iter());
        (crowd.len() >= CROWD).then_some(())
    });
    within(PATIENCE, "those that speak are heard", || {
        for upstream in &mut crowd {
            upstream.set_nonblocking(true).unwrap();
            let mut number = [0; 4];
            if upstream.read(&mut number).is_ok_and(|got| got == 4) {
                heard.push(u32::from_le_bytes(number));
            }
        }
        (heard.len() == CROWD / 1_000).then_some(())
    });
    heard.sort_unstable();
    assert_eq!(heard, (0..CROWD as u32).step_by(1_000).collect::<Vec<_>>());

    drop((clients, crowd, upstreams));
    within(PATIENCE, "their descriptors are given back", || (descriptors(pid) < open + 200).then_some(()));
}
