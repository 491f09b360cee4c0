//! Captures as pcap files, which tcpdump and Wireshark read.

use crate::Frame;
use sim::{Epoch, Instant};
use std::sync::Arc;

/// The bytes of a pcap file (microseconds, Ethernet) with these frames; instants count from `epoch`.
pub fn file(frames: &[(Instant, Arc<Frame>)], epoch: Epoch) -> Vec<u8> {
    const SNAP_BYTES: u32 = 262_144;
    let mut out = Vec::with_capacity(24 + frames.len() * 96);
    out.extend_from_slice(&0xa1b2_c3d4u32.to_le_bytes());
    out.extend_from_slice(&2u16.to_le_bytes());
    out.extend_from_slice(&4u16.to_le_bytes());
    for word in [0, 0, SNAP_BYTES, 1] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    let mut bytes = Vec::with_capacity(128);
    for (at, frame) in frames {
        bytes.clear();
        frame.emit(&mut bytes);
        let secs = epoch.0.saturating_add(at.secs() as i64) as u32;
        let micros = (at.nanos() % 1_000_000_000 / 1000) as u32;
        let len = bytes.len() as u32;
        for word in [secs, micros, len, len] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&bytes);
    }
    out
}
