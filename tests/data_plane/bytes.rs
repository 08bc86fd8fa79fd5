//! Every byte arrives, once, in order.

use crate::rig::{Rig, accept, eventually, joined, server};
use socket2::Socket;
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    thread,
    time::Duration,
};

/// Reproducible bytes, cheap to make: a 64-bit xorshift.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.next().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

/// Writes `total` bytes in pieces of random size with random pauses, then FIN; returns their checksum.
fn send(mut socket: TcpStream, total: usize, seed: u64) -> u32 {
    let mut noise = Noise(seed);
    let mut sum = crc32fast::Hasher::new();
    let mut left = total;
    let mut buffer = vec![0; 300_000];
    while left > 0 {
        let size = match noise.next() % 4 {
            0 => noise.next() % 100,
            1 => noise.next() % 5_000,
            _ => noise.next() % 300_000,
        };
        let piece = &mut buffer[..usize::try_from(size).unwrap().clamp(1, left)];
        noise.fill(piece);
        socket.write_all(piece).unwrap();
        sum.update(piece);
        left -= piece.len();
        if noise.next().is_multiple_of(16) {
            thread::sleep(Duration::from_micros(noise.next() % 3_000));
        }
    }
    socket.shutdown(Shutdown::Write).unwrap();
    sum.finalize()
}

/// Reads up to FIN; returns how much it was, and its checksum.
fn receive(mut socket: TcpStream) -> (usize, u32) {
    let mut sum = crc32fast::Hasher::new();
    let mut buffer = vec![0; 100_000];
    let mut total = 0;
    loop {
        match socket.read(&mut buffer).unwrap() {
            0 => return (total, sum.finalize()),
            got => {
                sum.update(&buffer[..got]);
                total += got;
            }
        }
    }
}

#[test]
fn transfers_of_any_size_arrive_both_ways_at_once_and_are_counted() {
    let (listener, address) = server();
    let rig = Rig::to(2, address);
    let mut totals = (0, 0);
    for (seed, up, down) in
        [(1, 1, 0), (2, 17, 70_000), (3, 1_000_000, 3), (4, 9_000_001, 12_345_678), (5, 0, 5_000_000)]
    {
        let (client, upstream) = joined(&rig, &listener);
        let ways = [(client.try_clone().unwrap(), upstream.try_clone().unwrap(), up), (upstream, client, down)];
        let running = ways.map(|(from, to, total)| {
            let sender = thread::spawn(move || send(from, total, seed));
            (sender, thread::spawn(move || receive(to)), total)
        });
        for (sender, receiver, total) in running {
            let (arrived, sum) = receiver.join().unwrap();
            assert_eq!((arrived, sum), (total, sender.join().unwrap()), "seed {seed}");
        }
        totals = (totals.0 + up as u64, totals.1 + down as u64);
    }
    eventually("every session has ended", || rig.sessions("AGG_P") == 0);
    assert_eq!(rig.bytes(), totals);
}

#[test]
fn a_server_that_speaks_first_is_heard() {
    let (listener, address) = server();
    let rig = Rig::to(1, address);
    let (mut client, mut upstream) = joined(&rig, &listener);

    upstream.write_all(b"220 ready\r\n").unwrap();
    let mut greeting = [0; 11];
    client.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"220 ready\r\n");

    client.write_all(b"HELO").unwrap();
    let mut answer = [0; 4];
    upstream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HELO");
}

#[test]
fn fifty_mebibytes_are_flushed_after_the_sender_has_closed() {
    const TOTAL: usize = 50 << 20;
    let (listener, address) = server();
    let rig = Rig::to(1, address);
    let mut client = rig.client();
    let upstream = accept(&listener);
    client.write_all(b"all of it, please").unwrap();
    client.shutdown(Shutdown::Write).unwrap();

    let sender = thread::spawn(move || {
        let mut upstream = upstream;
        let mut question = String::new();
        upstream.read_to_string(&mut question).unwrap();
        assert_eq!(question, "all of it, please");
        send(upstream, TOTAL, 7)
    });
    // The receiver only starts when everything that fits is on its way.
    eventually("the flow is stalled by its reader", || {
        let before = rig.bytes().1;
        thread::sleep(Duration::from_millis(100));
        before > 0 && before == rig.bytes().1
    });
    let (arrived, sum) = receive(client);
    assert_eq!((arrived, sum), (TOTAL, sender.join().unwrap()));
}

/// Both ends have sent FIN while the last of the answer is still on its way: an orderly end, however slow the reader is.
#[test]
fn an_answer_is_delivered_whole_to_a_slow_reader_after_both_ends_have_finished() {
    let (listener, address) = server();
    let rig = Rig::to(1, address);
    for total in [3 << 20, 5 << 20, 7 << 20, 9 << 20, 11 << 20] {
        let (mut client, mut upstream) = joined(&rig, &listener);
        client.write_all(b"all of it, please").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        upstream.read_to_string(&mut String::new()).unwrap();
        let answer = vec![7; total];
        let sender = thread::spawn(move || upstream.write_all(&answer).unwrap());
        eventually("the flow is stalled by its reader", || {
            let before = rig.bytes().1;
            thread::sleep(Duration::from_millis(200));
            before == rig.bytes().1
        });
        assert_eq!(receive(client).0, total);
        sender.join().unwrap();
    }
}

/// TDS and others interrupt a query so. What is marked stays behind, as in most relays; what surrounds it arrives.
#[test]
fn what_stands_behind_a_mark_of_urgent_data_arrives_whether_or_not_anything_follows() {
    let (listener, address) = server();
    let rig = Rig::to(1, address);
    for finished in [true, false] {
        let (client, mut upstream) = joined(&rig, &listener);
        let mut client = Socket::from(client);
        client.write_all(b"abc").unwrap();
        client.send_out_of_band(b"X").unwrap();
        client.write_all(b"def").unwrap();
        if finished {
            client.shutdown(Shutdown::Write).unwrap();
        }
        let mut heard = [0; 6];
        upstream.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"abcdef", "FIN follows: {finished}");
    }
}
