//! A VXLAN tunnel device: its identifier and which station is behind which host.

use crate::MacAddr;
use crate::wire::vxlan::PORT;
use core::net::IpAddr;
use sim::Limits;
use sim::persistent::{OrdMap, OrdSet};

/// Bytes that the encapsulation costs: outer IP, UDP, VXLAN and inner Ethernet headers.
pub(crate) const OVERHEAD_BYTES: u32 = 50;

/// A tunnel device.
#[derive(Clone, Debug)]
pub(crate) struct Vxlan {
    pub vni: u32,
    /// Source of outer packets; the route's if unset.
    pub local: Option<IpAddr>,
    pub port: u16,
    /// Whether inner sources are learned from what arrives.
    pub learning: bool,
    fdb: OrdMap<MacAddr, OrdSet<IpAddr>>,
}

impl Vxlan {
    pub fn new(vni: u32, local: Option<IpAddr>, learning: bool) -> Vxlan {
        Vxlan { vni, local, port: PORT, learning, fdb: OrdMap::new() }
    }

    /// Adds a remote end for a station, the zero address being all others.
    pub fn add(&mut self, mac: MacAddr, remote: IpAddr) -> bool {
        if self.fdb.len() >= Limits::TABLE.bridge_entries_max {
            return false;
        }
        let mut ends = self.fdb.get(&mac).cloned().unwrap_or_default();
        ends.insert(remote);
        self.fdb.insert(mac, ends);
        true
    }

    /// Learns or moves a station.
    pub fn learn(&mut self, mac: MacAddr, remote: IpAddr) {
        let known = self.fdb.get(&mac).is_some_and(|e| e.contains(&remote));
        if self.learning && !mac.is_group() && !known && self.fdb.len() < Limits::TABLE.bridge_entries_max {
            self.fdb.insert(mac, OrdSet::unit(remote));
        }
    }

    /// Removes a remote end.
    pub fn remove(&mut self, mac: MacAddr, remote: IpAddr) -> bool {
        let Some(ends) = self.fdb.get_mut(&mac) else { return false };
        let was = ends.remove(&remote);
        if ends.is_empty() {
            self.fdb.remove(&mac);
        }
        was
    }

    /// Where frames for a station go: its end, or all default ends.
    pub fn ends(&self, mac: MacAddr) -> Vec<IpAddr> {
        let hit = if mac.is_group() { None } else { self.fdb.get(&mac) };
        hit.or_else(|| self.fdb.get(&MacAddr::ZERO)).map(|e| e.iter().copied().collect()).unwrap_or_default()
    }

    /// All entries.
    pub fn iter(&self) -> impl Iterator<Item = (MacAddr, IpAddr)> {
        self.fdb.iter().flat_map(|(m, e)| e.iter().map(move |i| (*m, *i)))
    }
}
