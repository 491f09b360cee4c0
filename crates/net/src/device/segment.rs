//! The network between hosts: a switch with a latency, which can be cut, slow or lossy.

use super::IfIndex;
use crate::{MacAddr, NsId};
use sim::persistent::{OrdMap, OrdSet, Vector};
use sim::{Duration, Limits};
use smol_str::SmolStr;

/// The number of a segment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
pub struct SegmentId(pub u32);

/// A station: a device of a namespace.
pub(crate) type Station = (NsId, IfIndex);

/// A LAN segment.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Its name.
    pub name: SmolStr,
    /// Time from one station to another.
    pub latency: Duration,
    /// Part of the latency that may be added by chance, in percent.
    pub jitter_percent: u64,
    /// Frames lost by chance, in millionths.
    pub loss_ppm: u64,
    /// Whether it carries anything.
    pub up: bool,
    pub(crate) stations: Vector<Station>,
    pub(crate) fdb: OrdMap<MacAddr, Station>,
    /// Pairs of namespaces that do not reach each other, the smaller first.
    pub(crate) cuts: OrdSet<(NsId, NsId)>,
}

impl Segment {
    pub(crate) fn new(name: &str, latency: Duration) -> Segment {
        Segment {
            name: name.into(),
            latency,
            jitter_percent: 0,
            loss_ppm: 0,
            up: true,
            stations: Vector::new(),
            fdb: OrdMap::new(),
            cuts: OrdSet::new(),
        }
    }

    pub(crate) fn learn(&mut self, mac: MacAddr, at: Station) {
        if !mac.is_group()
            && self.fdb.get(&mac) != Some(&at)
            && self.fdb.len() < Limits::TABLE.bridge_entries_max
        {
            self.fdb.insert(mac, at);
        }
    }

    pub(crate) fn cut(&self, a: NsId, b: NsId) -> bool {
        !self.cuts.is_empty() && self.cuts.contains(&(a.min(b), a.max(b)))
    }

    pub(crate) fn detach(&mut self, s: Station) {
        self.stations.retain(|x| *x != s);
        let gone: Vec<MacAddr> = self.fdb.iter().filter(|(_, x)| **x == s).map(|(m, _)| *m).collect();
        for m in gone {
            self.fdb.remove(&m);
        }
    }
}
