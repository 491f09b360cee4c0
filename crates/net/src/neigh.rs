//! Neighbours: which link address an IP address has, found out and kept up by ARP.
//!
//! Models: Linux's neighbour states. An entry ages when somebody looks; only an entry in use costs a timer.

use crate::skb::Skb;
use crate::{IfIndex, MacAddr};
use core::fmt;
use core::net::IpAddr;
use sim::persistent::{OrdMap, Vector};
use sim::{Duration, Instant};
use std::sync::Arc;

/// How long an answer counts as fresh (`base_reachable_time`).
pub(crate) const REACHABLE: Duration = Duration::from_secs(30);
/// How long a stale entry is used before it is asked again (`delay_first_probe_time`).
pub(crate) const DELAY: Duration = Duration::from_secs(5);
/// Time between questions (`retrans_time`).
pub(crate) const RETRANS: Duration = Duration::from_secs(1);
/// Questions before giving up (`mcast_solicit`, `ucast_solicit`).
pub(crate) const PROBES_MAX: u8 = 3;

/// The state of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum NeighState {
    /// Asked, no answer yet.
    Incomplete,
    /// Answered not long ago.
    Reachable,
    /// Known, but not sure any more.
    Stale,
    /// Stale and in use; will be asked soon.
    Delay,
    /// Being asked again.
    Probe,
    /// Nobody answered.
    Failed,
    /// Set by hand.
    Permanent,
}

impl fmt::Display for NeighState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NeighState::Incomplete => "INCOMPLETE",
            NeighState::Reachable => "REACHABLE",
            NeighState::Stale => "STALE",
            NeighState::Delay => "DELAY",
            NeighState::Probe => "PROBE",
            NeighState::Failed => "FAILED",
            NeighState::Permanent => "PERMANENT",
        })
    }
}

/// An entry.
#[derive(Clone, Debug)]
pub(crate) struct Neigh {
    pub state: NeighState,
    pub mac: MacAddr,
    /// When it was confirmed.
    pub confirmed: Instant,
    pub probes: u8,
    /// Packets that wait for the answer.
    pub queue: Vector<Arc<Skb>>,
}

impl Neigh {
    pub fn new(state: NeighState, mac: MacAddr, now: Instant) -> Neigh {
        Neigh { state, mac, confirmed: now, probes: 0, queue: Vector::new() }
    }

    /// The state with age taken into account.
    pub fn state_at(&self, now: Instant) -> NeighState {
        match self.state {
            NeighState::Reachable if now.since(self.confirmed) >= REACHABLE => NeighState::Stale,
            s => s,
        }
    }
}

/// Entries by device and address.
pub(crate) type Neighbours = OrdMap<(IfIndex, IpAddr), Neigh>;
