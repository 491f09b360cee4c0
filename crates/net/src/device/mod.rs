//! Network devices: their state and statistics. How frames pass them is in `stack`.
//!
//! One file a kind that has state of its own. *Invariant*: a device knows its peers by number only.

mod bridge;
mod segment;
mod vxlan;

pub(crate) use bridge::Bridge;
pub use segment::{Segment, SegmentId};
pub(crate) use vxlan::{OVERHEAD_BYTES as VXLAN_OVERHEAD_BYTES, Vxlan};

use crate::{MacAddr, NsId};
use smol_str::SmolStr;

/// The number of a device in its namespace.
pub type IfIndex = u32;

/// What a device is.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Loopback,
    Veth {
        peer_ns: NsId,
        peer: IfIndex,
    },
    Bridge(Bridge),
    Eth {
        segment: SegmentId,
    },
    Vxlan(Vxlan),
    /// Swallows what is sent; holds addresses, as `kube-ipvs0` does.
    Dummy,
}

/// Frames and bytes, as `ip -s link` shows them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Stats {
    /// Bytes received.
    pub rx_bytes: u64,
    /// Frames received.
    pub rx_packets: u64,
    /// Frames received and dropped.
    pub rx_dropped: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Frames sent.
    pub tx_packets: u64,
    /// Frames to be sent and dropped.
    pub tx_dropped: u64,
}

/// A network device.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub index: IfIndex,
    pub name: SmolStr,
    pub kind: Kind,
    pub mac: MacAddr,
    pub mtu: u32,
    pub up: bool,
    /// Whether the cable is plugged in; of a veth, whether the peer is up.
    pub carrier: bool,
    /// The bridge whose port it is.
    pub master: Option<IfIndex>,
    /// As a bridge port: may frames go back where they came from?
    pub hairpin: bool,
    pub stats: Stats,
}

impl Device {
    pub fn new(index: IfIndex, name: &str, kind: Kind, mac: MacAddr, mtu: u32) -> Device {
        Device {
            index,
            name: name.into(),
            kind,
            mac,
            mtu,
            up: false,
            carrier: true,
            master: None,
            hairpin: false,
            stats: Stats::default(),
        }
    }

    /// Whether frames can pass.
    pub fn running(&self) -> bool {
        self.up && self.carrier
    }

    /// Whether neighbours need link addresses.
    pub fn has_neighbours(&self) -> bool {
        !matches!(self.kind, Kind::Loopback | Kind::Dummy)
    }
}
