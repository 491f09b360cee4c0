//! CoreDNS: answers names of Services out of what the API says.
//!
//! Models: CoreDNS with the `kubernetes` plugin. It watches Services and EndpointSlices under its own service account
//! and answers over UDP; nothing else knows a Service's name.

use crate::images::{Base, File, Image};
use api::wire::{Credentials, Message, Request, Response};
use api::{SmolStr, Value};
use core::task::Poll;
use net::wire::dns;
use shell::sys::{SocketKind, Sys};
use shell::{Entry, Fd, Program, Step};
use sim::persistent::OrdMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// Name under which kubelets pull it.
pub const IMAGE_NAME: &str = "registry.k8s.io/coredns/coredns:v1.13.1";
const ZONE: &str = "cluster.local";
/// Seconds that an answer may be kept.
const TTL_S: u32 = 30;

/// The image.
pub static IMAGE: Image = Image {
    repository: "registry.k8s.io/coredns/coredns",
    tags: &["v1.13.1"],
    size_bytes: 23_100_000,
    base: Base::Scratch,
    files: &[File::Program("/coredns", "coredns", 60_000_000)],
    entrypoint: &["/coredns"],
    cmd: &[],
    env: &[("PATH", "/")],
    workdir: "/",
    user: "",
    ports: &["53/udp"],
    stop_signal: shell::Signal::TERM,
    volumes: &[],
};

/// Its program.
pub static TABLE: &[Entry] = &[Entry { names: &["coredns"], help: ": cluster DNS", main }];

fn main(_: Vec<String>) -> Box<dyn Program> {
    Box::new(CoreDns::default())
}

type Key = (SmolStr, SmolStr);

/// The program's whole state.
#[derive(Clone, Debug, Default)]
struct CoreDns {
    socket: Option<Fd>,
    /// Conversations with the API server: services and slices.
    watches: Vec<(Fd, bool)>,
    services: OrdMap<Key, Value>,
    slices: OrdMap<Key, Value>,
}

impl Program for CoreDns {
    fn step(&mut self, sys: &mut dyn Sys) -> Step {
        if self.socket.is_none() && !self.start(sys) {
            return Step::Exit(1);
        }
        self.read_watches(sys);
        let Some(fd) = self.socket else { return Step::Exit(1) };
        let mut served = 0;
        while let Poll::Ready(r) = sys.recv_from(fd, 4096) {
            let Ok((bytes, from)) = r else { break };
            if let Some(answer) = self.answer(&bytes) {
                // An answer that cannot be sent is asked for again.
                let _ = sys.send_to(fd, &answer, from);
            }
            served += 1;
            if served >= 64 {
                return Step::Continue;
            }
        }
        Step::Wait
    }

    fn clone_box(&self) -> Box<dyn Program> {
        Box::new(self.clone())
    }
}

impl CoreDns {
    fn start(&mut self, sys: &mut dyn Sys) -> bool {
        let Ok(fd) = sys.socket(SocketKind::Udp, false) else { return false };
        if sys.bind(fd, SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 53)).is_err() {
            return false;
        }
        self.socket = Some(fd);
        for (path, slices) in
            [("/api/v1/services", false), ("/apis/discovery.k8s.io/v1/endpointslices", true)]
        {
            let mut r = Request::get(path).with_query("watch", "true");
            r.credentials = Credentials::Certificate {
                name: "system:serviceaccount:kube-system:coredns".into(),
                groups: vec!["system:serviceaccounts".into(), "system:serviceaccounts:kube-system".into()],
            };
            if let Ok(fd) = sys.rpc_open("kube-apiserver", Arc::new(r)) {
                self.watches.push((fd, slices));
            }
        }
        let line = ".:53\nCoreDNS-1.13.1\nlinux/amd64, go1.25.3, 1db4568\n";
        let _ = sys.write(1, line.as_bytes());
        true
    }

    fn read_watches(&mut self, sys: &mut dyn Sys) {
        for (fd, slices) in self.watches.clone() {
            while let Poll::Ready(Ok(Some(m))) = sys.rpc_recv(fd) {
                if let Some(r) = m.downcast_ref::<Response>()
                    && !r.is_ok()
                {
                    let line = format!("[ERROR] plugin/kubernetes: {}\n", r.value().get("message").text());
                    let _ = sys.write(2, line.as_bytes());
                }
                let Some(Message::Event(e)) = m.downcast_ref::<Message>() else { continue };
                let o = e.get("object");
                let key: Key = (o.namespace().into(), o.name().into());
                let all = if slices { &mut self.slices } else { &mut self.services };
                match e.get("type").text() {
                    "DELETED" => {
                        all.remove(&key);
                    }
                    "ADDED" | "MODIFIED" => {
                        all.insert(key, o.clone());
                    }
                    _ => {}
                }
            }
        }
    }

    fn answer(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let query = dns::Repr::from_bytes(bytes).ok()?;
        let question = query.questions.first()?.clone();
        let name = question.name.as_str().trim_end_matches('.').to_lowercase();
        let (code, records) = self.resolve(&name, question.rtype);
        let mut reply = query.reply(code);
        (reply.authoritative, reply.recursion_available) = (true, true);
        for data in records {
            reply.answers.push(dns::Record { name: question.name.clone(), ttl: TTL_S, data });
        }
        Some(reply.to_bytes())
    }

    /// The records of a name; an empty list with success is a name without records of that kind.
    fn resolve(&self, name: &str, kind: dns::Type) -> (dns::Rcode, Vec<dns::Data>) {
        if let Some(ip) = name.strip_suffix(".in-addr.arpa") {
            return self.reverse(ip, kind);
        }
        let Some(rest) = name.strip_suffix(&format!(".{ZONE}")).or((name == ZONE).then_some("")) else {
            // There is nothing outside: the upstream answers that no such name exists.
            return (dns::Rcode::NxDomain, Vec::new());
        };
        let labels: Vec<&str> = rest.split('.').collect();
        match labels[..] {
            [service, ns, "svc"] => self.service(service, ns, kind),
            [host, service, ns, "svc"] => self.endpoint(host, service, ns, kind),
            [port, proto, service, ns, "svc"] if port.starts_with('_') && proto.starts_with('_') => {
                self.srv(&port[1..], &proto[1..], service, ns, kind)
            }
            _ => (dns::Rcode::NxDomain, Vec::new()),
        }
    }

    fn addresses(&self, service: &str, ns: &str) -> Vec<(Ipv4Addr, String)> {
        let mine = |s: &&Value| s.labels().get("kubernetes.io/service-name").text() == service;
        self.slices
            .iter()
            .filter(|((n, _), _)| n == ns)
            .map(|(_, s)| s)
            .filter(mine)
            .flat_map(|s| s.get("endpoints").items())
            .filter(|e| e.at(&["conditions", "ready"]).as_bool() != Some(false))
            .filter_map(|e| {
                Some((e.at(&["addresses", "0"]).text().parse().ok()?, e.get("hostname").text().to_owned()))
            })
            .collect()
    }

    fn service(&self, service: &str, ns: &str, kind: dns::Type) -> (dns::Rcode, Vec<dns::Data>) {
        let Some(s) = self.services.get(&(ns.into(), service.into())) else {
            return (dns::Rcode::NxDomain, Vec::new());
        };
        let spec = s.get("spec");
        if spec.get("type").text() == "ExternalName" {
            let target = dns::Name::new(spec.get("externalName").text());
            return (dns::Rcode::NoError, target.map(|t| vec![dns::Data::Cname(t)]).unwrap_or_default());
        }
        if kind != dns::Type::A {
            return (dns::Rcode::NoError, Vec::new());
        }
        if spec.get("clusterIP").text() == "None" {
            let all = self.addresses(service, ns);
            let code = if all.is_empty() { dns::Rcode::NxDomain } else { dns::Rcode::NoError };
            return (code, all.into_iter().map(|(ip, _)| dns::Data::A(ip)).collect());
        }
        let ip = spec.get("clusterIP").text().parse().ok();
        (dns::Rcode::NoError, ip.map(|ip| vec![dns::Data::A(ip)]).unwrap_or_default())
    }

    fn endpoint(&self, host: &str, service: &str, ns: &str, kind: dns::Type) -> (dns::Rcode, Vec<dns::Data>) {
        let found = self.addresses(service, ns).into_iter().find(|(ip, name)| {
            if name.is_empty() { ip.to_string().replace('.', "-") == host } else { name == host }
        });
        match (found, kind) {
            (Some((ip, _)), dns::Type::A) => (dns::Rcode::NoError, vec![dns::Data::A(ip)]),
            (Some(_), _) => (dns::Rcode::NoError, Vec::new()),
            (None, _) => (dns::Rcode::NxDomain, Vec::new()),
        }
    }

    fn srv(
        &self,
        port: &str,
        proto: &str,
        service: &str,
        ns: &str,
        kind: dns::Type,
    ) -> (dns::Rcode, Vec<dns::Data>) {
        let Some(s) = self.services.get(&(ns.into(), service.into())) else {
            return (dns::Rcode::NxDomain, Vec::new());
        };
        let p = s
            .at(&["spec", "ports"])
            .items()
            .find(|p| p.get("name").text() == port && p.get("protocol").text().eq_ignore_ascii_case(proto));
        let Some(p) = p else { return (dns::Rcode::NxDomain, Vec::new()) };
        if kind != dns::Type::SRV {
            return (dns::Rcode::NoError, Vec::new());
        }
        let base = format!("{service}.{ns}.svc.{ZONE}");
        let target = |name: String| {
            dns::Name::new(&name).ok().map(|target| dns::Data::Srv {
                priority: 0,
                weight: 100,
                port: p.get("port").int() as u16,
                target,
            })
        };
        let records = if s.at(&["spec", "clusterIP"]).text() == "None" {
            self.addresses(service, ns)
                .into_iter()
                .filter_map(|(ip, h)| {
                    target(format!(
                        "{}.{base}",
                        if h.is_empty() { ip.to_string().replace('.', "-") } else { h }
                    ))
                })
                .collect()
        } else {
            target(base).into_iter().collect()
        };
        (dns::Rcode::NoError, records)
    }

    fn reverse(&self, ip: &str, kind: dns::Type) -> (dns::Rcode, Vec<dns::Data>) {
        let ip: Vec<&str> = ip.split('.').rev().collect();
        let ip = ip.join(".");
        let found = self.services.iter().find(|(_, s)| s.at(&["spec", "clusterIP"]).text() == ip);
        match (found, kind) {
            (Some(((ns, name), _)), dns::Type::PTR) => {
                let target = dns::Name::new(&format!("{name}.{ns}.svc.{ZONE}"));
                (dns::Rcode::NoError, target.map(|t| vec![dns::Data::Ptr(t)]).unwrap_or_default())
            }
            (Some(_), _) => (dns::Rcode::NoError, Vec::new()),
            (None, _) => (dns::Rcode::NxDomain, Vec::new()),
        }
    }
}
