//! As many bytes as will go, one way or both.

use super::{
    args::{Bulk, Direction},
    client::{self, Reach},
    meter::Meter,
    reactor::{Interest, Reactor},
    report::Report,
    stream::Stream,
    wire::Kind,
};
use std::{
    io::{self, ErrorKind::WouldBlock, Write},
    time::Instant,
};

const BLOCK: usize = 256 * 1024;

/// Runs it. Bytes up are counted as the client's kernel takes them, bytes down as they arrive; the difference, what is
/// under way, is the same at the begin and at the end of the span that is measured.
pub(crate) fn run(args: &Bulk) -> anyhow::Result<Report> {
    let (kind, interest) = match args.direction {
        Direction::Up => (Kind::Sink, Interest::Both),
        Direction::Down => (Kind::Source, Interest::Read),
        Direction::Both => (Kind::SourceAndSink, Interest::Both),
    };
    let mut streams =
        client::open(&Reach::of(&args.target)?, kind, args.streams)?.into_iter().map(Some).collect::<Vec<_>>();
    let mut reactor = Reactor::new()?;
    for (at, stream) in streams.iter().flatten().enumerate() {
        reactor.add(stream.socket(), at, interest)?;
    }
    let mut block = vec![0x5a; BLOCK];
    let mut meter = Meter::start(&args.target)?;
    let mut ready = Vec::new();
    while meter.goes_on(Instant::now())? {
        reactor.wait(meter.deadline(), &mut ready)?;
        for event in &ready {
            let Some(stream) = &mut streams[event.token] else { continue };
            let poured = if event.writable { pour(stream, &block) } else { Ok(0) };
            let drawn = if event.readable { draw(stream, &mut block) } else { Ok(0) };
            match poured.and_then(|up| Ok(up + drawn?)) {
                Ok(moved) => meter.bytes(moved),
                Err(_) => {
                    meter.error();
                    streams[event.token] = None;
                }
            }
        }
    }
    meter.finish("bulk")
}

fn pour(stream: &mut Stream, block: &[u8]) -> io::Result<usize> {
    match stream.write(block) {
        Err(error) if error.kind() == WouldBlock => Ok(0),
        sent => sent,
    }
}

fn draw(stream: &mut Stream, block: &mut [u8]) -> io::Result<usize> {
    match stream.discard(block)? {
        Some(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Some(got) => Ok(got),
        None => Ok(0),
    }
}
