//! A beacon as bytes. All numbers are big-endian, names are UTF-8 behind their length.
//!
//! ```text
//!   "FBbn" 1 │ boot 8 │ sequence 8 │ role 1 │ state 1 │ node 2+n │ claims 1 │ (seat 2+n, epoch 8, marks 1, home 0 or 2+n, copy 0 or 8)… │ HMAC-SHA256 32
//!    magic v │◀──────────────────────── what is signed, the magic too ─────────────────────────────────────────────────▶│
//! ```

use crate::model::{
    Epoch, NodeName,
    group::{Claim, Heartbeat, NodeStateName, Role},
    is_short_enough,
};
use aws_lc_rs::hmac;

/// No beacon is longer, so that it is one packet on every network that carries IPv6 (RFC 8200 §5: 1280 bytes).
pub const MOST_FRAME: usize = 1200;
const MAC: usize = 32;
/// The marks of a claim.
const HOLDS: u8 = 1;
const HEARS: u8 = 2;
const HAS_HOME: u8 = 4;
const VACANT: u8 = 8;
const HAS_COPY: u8 = 16;
const FIT: u8 = 32;
const YIELDS: u8 = 64;
const MAGIC: &[u8] = b"FBbn\x01";

/// Why bytes are no beacon of the group's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Somebody without the pairing key made it, or it was changed on its way.
    #[error("the signature does not fit")]
    Forged,
    /// It is something else, or of another version.
    #[error("it is no beacon of this version")]
    Malformed,
}

/// The beacon, signed.
#[must_use]
pub fn seal(heartbeat: &Heartbeat, key: &hmac::Key) -> Vec<u8> {
    let mut frame = encode(heartbeat);
    let tag = hmac::sign(key, &frame);
    frame.extend(tag.as_ref());
    frame
}

/// Reads a beacon and believes nothing before its signature.
///
/// # Errors
/// [`FrameError`].
pub fn open(frame: &[u8], key: &hmac::Key) -> Result<Heartbeat, FrameError> {
    if frame.len() > MOST_FRAME || !frame.starts_with(MAGIC) {
        return Err(FrameError::Malformed);
    }
    let (signed, tag) = frame.split_last_chunk::<MAC>().ok_or(FrameError::Malformed)?;
    hmac::verify(key, signed, tag).map_err(|_| FrameError::Forged)?;
    decode(signed).ok_or(FrameError::Malformed)
}

/// What is signed. Claims that don't fit are left out, those of seats that are not held first.
#[must_use]
pub fn encode(heartbeat: &Heartbeat) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(heartbeat.boot.to_be_bytes());
    bytes.extend(heartbeat.sequence.to_be_bytes());
    bytes.push(index(Role::ALL, &heartbeat.role));
    bytes.push(index(NodeStateName::ALL, &heartbeat.state));
    name(&mut bytes, &heartbeat.node);
    let claims: Vec<Vec<u8>> = kept(heartbeat, MOST_FRAME - MAC - bytes.len() - 1);
    bytes.push(u8::try_from(claims.len()).unwrap_or(u8::MAX));
    bytes.extend(claims.concat());
    bytes
}

/// As many claims as fit into `room`.
fn kept(heartbeat: &Heartbeat, mut room: usize) -> Vec<Vec<u8>> {
    let mut written: Vec<(bool, Vec<u8>)> = heartbeat.claims.iter().map(|one| (one.holds, claim(one))).collect();
    if written.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() > room || written.len() > usize::from(u8::MAX) {
        written.sort_by_key(|(holds, _)| !holds);
    }
    let mut kept = Vec::new();
    for (_, bytes) in written {
        if bytes.len() <= room && kept.len() < usize::from(u8::MAX) {
            room -= bytes.len();
            kept.push(bytes);
        }
    }
    kept
}

fn claim(claim: &Claim) -> Vec<u8> {
    let mut bytes = Vec::new();
    name(&mut bytes, &claim.seat);
    bytes.extend(claim.epoch.0.to_be_bytes());
    let (has_home, has_copy) = (claim.home.is_some(), claim.copy > 0);
    let marks = [
        (claim.holds, HOLDS),
        (claim.hears, HEARS),
        (has_home, HAS_HOME),
        (claim.vacant, VACANT),
        (has_copy, HAS_COPY),
        (claim.fit, FIT),
        (claim.yields, YIELDS),
    ];
    bytes.push(marks.iter().filter(|(is, _)| *is).map(|(_, mark)| mark).sum());
    claim.home.iter().for_each(|home| name(&mut bytes, home));
    if has_copy {
        bytes.extend(claim.copy.to_be_bytes());
    }
    bytes
}

fn name(bytes: &mut Vec<u8>, name: &NodeName) {
    // Names have 64 characters at most, so this never cuts one.
    let length = u16::try_from(name.len()).unwrap_or(u16::MAX);
    bytes.extend(length.to_be_bytes());
    bytes.extend(&name.as_bytes()[..usize::from(length)]);
}

fn index<T: PartialEq>(all: &[T], one: &T) -> u8 {
    all.iter().position(|other| other == one).and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX)
}

/// Reads what [`encode`] writes, to the last byte; `None` for anything else.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Heartbeat> {
    let mut rest = bytes.strip_prefix(MAGIC).filter(|_| bytes.len() <= MOST_FRAME - MAC)?;
    let rest = &mut rest;
    let (boot, sequence) = (number(rest)?, number(rest)?);
    let role = *Role::ALL.get(usize::from(byte(rest)?))?;
    let state = *NodeStateName::ALL.get(usize::from(byte(rest)?))?;
    let node = read_name(rest)?;
    let claims = byte(rest)?;
    let claims = (0..claims).map(|_| read_claim(rest)).collect::<Option<Vec<_>>>()?;
    rest.is_empty().then_some(Heartbeat { node, boot, sequence, role, state, claims })
}

fn read_claim(rest: &mut &[u8]) -> Option<Claim> {
    let (seat, epoch) = (read_name(rest)?, Epoch(number(rest)?));
    let marks = byte(rest).filter(|marks| *marks <= HOLDS | HEARS | HAS_HOME | VACANT | HAS_COPY | FIT | YIELDS)?;
    let home = if marks & HAS_HOME == 0 { None } else { Some(read_name(rest)?) };
    let copy = if marks & HAS_COPY == 0 { 0 } else { number(rest).filter(|copy| *copy > 0)? };
    let [holds, hears, vacant, fit, yields] = [HOLDS, HEARS, VACANT, FIT, YIELDS].map(|mark| marks & mark != 0);
    Some(Claim { seat, epoch, holds, hears, copy, fit, vacant, yields, home })
}

fn read_name(rest: &mut &[u8]) -> Option<NodeName> {
    let length = take::<2>(rest).map(u16::from_be_bytes)?;
    let (name, behind) = rest.split_at_checked(usize::from(length))?;
    *rest = behind;
    let name = std::str::from_utf8(name).ok()?;
    is_name(name).then(|| name.into())
}

/// Could configuration have it as the name of a node?
pub(in crate::control::peer) fn is_name(name: &str) -> bool {
    let shown = name.chars().all(|c| c != '/' && !c.is_control());
    !name.is_empty() && is_short_enough(name) && shown
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    take::<8>(rest).map(u64::from_be_bytes)
}

fn byte(rest: &mut &[u8]) -> Option<u8> {
    take::<1>(rest).map(|[byte]| byte)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, behind) = rest.split_first_chunk::<N>()?;
    *rest = behind;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn heartbeat(claims: Vec<Claim>) -> Heartbeat {
        let (role, state) = (Role::Backup, NodeStateName::Standby);
        Heartbeat { node: "PROXY_Ü".into(), boot: 4, sequence: 1 << 40, role, state, claims }
    }

    fn claim_of(seat: String, holds: bool) -> Claim {
        let home = (!holds).then(|| "PROXY_R".into());
        Claim {
            seat: seat.into(),
            epoch: Epoch(17),
            holds,
            hears: !holds,
            copy: u64::from(holds),
            fit: holds,
            vacant: !holds,
            yields: !holds,
            home,
        }
    }

    fn key(secret: &[u8]) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, secret)
    }

    #[test]
    fn what_is_sealed_is_read_by_who_holds_the_key_and_by_nobody_else() {
        let said = heartbeat(vec![claim_of("PROXY_P".into(), true), claim_of("PROXY_Q".into(), false)]);
        let frame = seal(&said, &key(b"ours"));
        assert_eq!(open(&frame, &key(b"ours")), Ok(said));
        assert_eq!(open(&frame, &key(b"theirs")), Err(FrameError::Forged));
        for at in 0..frame.len() {
            let mut changed = frame.clone();
            changed[at] ^= 1;
            assert!(open(&changed, &key(b"ours")).is_err(), "byte {at}");
            assert!(open(&frame[..at], &key(b"ours")).is_err(), "{at} bytes");
        }
    }

    #[test]
    fn claims_that_do_not_fit_are_left_out_and_the_held_seat_is_not_among_them() {
        let mut claims: Vec<Claim> = (0..40).map(|n| claim_of(format!("{n:064}"), false)).collect();
        claims.push(claim_of("HELD".into(), true));
        let frame = seal(&heartbeat(claims), &key(b"k"));
        assert!(frame.len() <= MOST_FRAME);
        let read = open(&frame, &key(b"k")).unwrap();
        assert!(read.claims.len() > 10 && read.claims.iter().any(|claim| &*claim.seat == "HELD"));
    }

    #[test]
    fn signed_nonsense_is_refused_too() {
        let good = encode(&heartbeat(vec![claim_of("P".into(), true)]));
        let (copy, marks) = (good.len() - 1, good.len() - 9);
        for (at, value) in [(4, 2), (21, 2), (22, 4), (marks, 128), (marks, 0), (copy, 0), (24, 200)] {
            let mut wrong = good.clone();
            wrong[at] = value;
            assert_eq!(decode(&wrong), None, "byte {at} is {value}");
        }
        assert_eq!(decode(&[&good[..], b"x"].concat()), None, "something behind it");
        assert_eq!(decode(&encode(&Heartbeat { node: "a/b".into(), ..heartbeat(vec![]) })), None);
        assert_eq!(decode(&encode(&heartbeat(vec![claim_of("ü".repeat(43), true)]))), None, "no file can be called so");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fall_over_and_what_is_read_is_written_alike(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let bytes = [MAGIC, &bytes].concat();
            if let Some(read) = decode(&bytes) {
                prop_assert_eq!(encode(&read), bytes);
            }
        }
    }
}
