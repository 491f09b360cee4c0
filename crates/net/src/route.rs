//! Routes: the main table with longest-prefix match, and `ip route`'s text.
//!
//! The local table is made of the interface addresses and lives in the namespace.

use crate::addr::mask;
use crate::{Cidr, Errno, IfIndex};
use core::net::IpAddr;
use sim::Limits;
use smol_str::SmolStr;
use std::sync::Arc;

/// Who made a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum Protocol {
    /// The kernel, for an address's own network.
    Kernel,
    /// `ip route add`
    Boot,
    /// A routing daemon or an administrator.
    Static,
    /// BIRD.
    Bird,
}

/// What a route does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum RouteKind {
    /// Leads to a device.
    Unicast,
    /// Drops silently.
    Blackhole,
    /// Answers "host unreachable".
    Unreachable,
    /// Answers "administratively prohibited".
    Prohibit,
}

/// A route.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Route {
    /// Destination, without host bits.
    pub dst: Cidr,
    /// Gateway.
    pub via: Option<IpAddr>,
    /// Device; 0 for kinds that lead nowhere.
    pub dev: IfIndex,
    /// Preferred source.
    pub src: Option<IpAddr>,
    /// Lower wins among equal prefixes.
    pub metric: u32,
    /// Who made it.
    pub protocol: Protocol,
    /// What it does.
    pub kind: RouteKind,
    /// The gateway is taken to be on the link.
    pub onlink: bool,
}

impl Route {
    /// A route by a device.
    pub fn dev(dst: Cidr, dev: IfIndex) -> Route {
        Route {
            dst: dst.network(),
            via: None,
            dev,
            src: None,
            metric: 0,
            protocol: Protocol::Boot,
            kind: RouteKind::Unicast,
            onlink: false,
        }
    }

    /// A route by a gateway.
    pub fn via(dst: Cidr, via: IpAddr, dev: IfIndex) -> Route {
        Route { via: Some(via), ..Route::dev(dst, dev) }
    }

    fn key(&self) -> (u8, IpAddr, u32) {
        (128 - self.dst.len, self.dst.addr, self.metric)
    }

    /// One line of `ip route`; iproute2 ends it with a blank.
    pub fn line(&self, dev: &str) -> String {
        let mut s = match self.kind {
            RouteKind::Unicast => String::new(),
            RouteKind::Blackhole => "blackhole ".into(),
            RouteKind::Unreachable => "unreachable ".into(),
            RouteKind::Prohibit => "prohibit ".into(),
        };
        s.push_str(&dst_text(self.dst));
        s.push(' ');
        if let Some(v) = self.via {
            s.push_str(&format!("via {v} "));
        }
        if self.kind == RouteKind::Unicast {
            s.push_str(&format!("dev {dev} "));
        }
        match self.protocol {
            Protocol::Kernel => s.push_str("proto kernel "),
            Protocol::Static => s.push_str("proto static "),
            Protocol::Bird => s.push_str("proto bird "),
            Protocol::Boot => {}
        }
        if self.via.is_none() && self.kind == RouteKind::Unicast {
            s.push_str("scope link ");
        }
        if let Some(a) = self.src {
            s.push_str(&format!("src {a} "));
        }
        if self.metric != 0 {
            s.push_str(&format!("metric {} ", self.metric));
        }
        if self.onlink {
            s.push_str("onlink ");
        }
        s
    }
}

/// A destination as `ip route` prints it.
pub(crate) fn dst_text(dst: Cidr) -> SmolStr {
    match dst {
        d if d.len == 0 => "default".into(),
        d if d.is_host() => smol_str::format_smolstr!("{}", d.addr),
        d => smol_str::format_smolstr!("{d}"),
    }
}

/// The main table, sorted by falling prefix length, then address, then metric.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routes {
    routes: Arc<Vec<Route>>,
    /// Where each prefix length begins: length and index.
    lens: Arc<Vec<(u8, usize)>>,
}

impl Routes {
    fn index(&mut self) {
        let mut lens: Vec<(u8, usize)> = Vec::new();
        for (i, r) in self.routes.iter().enumerate() {
            if lens.last().is_none_or(|(l, _)| *l != r.dst.len) {
                lens.push((r.dst.len, i));
            }
        }
        self.lens = Arc::new(lens);
    }

    /// Adds a route; one with the same destination and metric must not be there, unless `replace`.
    pub fn add(&mut self, r: Route, replace: bool) -> Result<(), Errno> {
        let at = self.routes.partition_point(|x| x.key() < r.key());
        if self.routes.get(at).is_some_and(|x| x.key() == r.key()) {
            if !replace {
                return Err(Errno::EEXIST);
            }
            Arc::make_mut(&mut self.routes)[at] = r;
            return Ok(());
        }
        if self.routes.len() >= Limits::TABLE.net_routes_max {
            return Err(Errno::ENOSPC);
        }
        Arc::make_mut(&mut self.routes).insert(at, r);
        self.index();
        Ok(())
    }

    /// Removes the first route to `dst` that `f` accepts.
    pub fn remove(&mut self, dst: Cidr, f: impl Fn(&Route) -> bool) -> bool {
        let dst = dst.network();
        let Some(at) = self.routes.iter().position(|r| r.dst == dst && f(r)) else { return false };
        Arc::make_mut(&mut self.routes).remove(at);
        self.index();
        true
    }

    /// Removes all that `f` accepts.
    pub fn remove_all(&mut self, f: impl Fn(&Route) -> bool) {
        if self.routes.iter().any(&f) {
            Arc::make_mut(&mut self.routes).retain(|r| !f(r));
            self.index();
        }
    }

    /// The longest prefix that contains `dst`, the lowest metric first, among those that `f` accepts.
    pub fn find(&self, dst: IpAddr, f: impl Fn(&Route) -> bool) -> Option<&Route> {
        let family = if dst.is_ipv4() { 32 } else { 128 };
        for (i, &(len, start)) in self.lens.iter().enumerate() {
            if len > family {
                continue;
            }
            let end = self.lens.get(i + 1).map_or(self.routes.len(), |l| l.1);
            let part = &self.routes[start..end];
            let net = mask(dst, len);
            let at = part.partition_point(|r| r.dst.addr < net);
            let hit = part[at..].iter().take_while(|r| r.dst.addr == net).find(|r| f(r));
            if hit.is_some() {
                return hit;
            }
        }
        None
    }

    /// Routes as `ip route` lists them: by address, shorter prefixes first.
    pub fn listed(&self) -> Vec<&Route> {
        let mut v: Vec<&Route> = self.routes.iter().collect();
        v.sort_by_key(|r| (r.dst.addr, r.dst.len, r.metric));
        v
    }
}
