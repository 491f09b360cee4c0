//! A bridge's forwarding database.

use super::IfIndex;
use crate::MacAddr;
use sim::persistent::OrdMap;
use sim::{Duration, Instant, Limits};

/// Seconds after which a learned station is forgotten.
const AGEING: Duration = Duration::from_secs(300);

/// A bridge: which station is behind which port. Ports are the devices whose master it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bridge {
    fdb: OrdMap<MacAddr, (IfIndex, Instant)>,
}

impl Bridge {
    /// Learns that `mac` is behind `port`.
    pub fn learn(&mut self, mac: MacAddr, port: IfIndex, now: Instant) {
        if mac.is_group() || mac == MacAddr::ZERO {
            return;
        }
        // Written seldom, so that a busy table stays shared: only what is new or has aged a while.
        let fresh = self.fdb.get(&mac).is_some_and(|(p, at)| *p == port && now.since(*at) < AGEING / 2);
        if !fresh && (self.fdb.len() < Limits::TABLE.bridge_entries_max || self.fdb.contains_key(&mac)) {
            self.fdb.insert(mac, (port, now));
        }
    }

    /// The port behind which `mac` was seen not long ago.
    pub fn port(&self, mac: MacAddr, now: Instant) -> Option<IfIndex> {
        self.fdb.get(&mac).filter(|(_, at)| now.since(*at) <= AGEING).map(|(p, _)| *p)
    }

    /// Forgets all behind a port.
    pub fn forget(&mut self, port: IfIndex) {
        let gone: Vec<MacAddr> = self.fdb.iter().filter(|(_, (p, _))| *p == port).map(|(m, _)| *m).collect();
        for m in gone {
            self.fdb.remove(&m);
        }
    }

    /// Stations and their ports.
    pub fn iter(&self, now: Instant) -> impl Iterator<Item = (MacAddr, IfIndex)> {
        self.fdb.iter().filter(move |(_, (_, at))| now.since(*at) <= AGEING).map(|(m, (p, _))| (*m, *p))
    }
}
