//! What processes and outside clients say to the API server and, through it, to kubelets.

use super::{DELIVERY, Event, Heard, OUTSIDE, Part, REQUEST, World};
use crate::session::{self, Begun};
use crate::streams::{Conversation, Open, Reply};
use api::Value;
use api::wire::{Body, Message, Request, Response};
use apiserver::{Outcome, Status};
use shell::kernel::RpcEvent;
use sim::{Cause, Instant};
use std::net::SocketAddr;
use std::sync::Arc;

/// The host that runs the API server: the first machine.
const API_HOST: usize = 1;

impl World {
    /// Takes what a host's processes say to the API server.
    pub(super) fn take_calls(&mut self, host: usize) {
        let mut calls: Vec<RpcEvent> = Vec::new();
        if let Some(k) = self.kernel(host) {
            while let Some(e) = k.take_rpc() {
                calls.push(e);
            }
        }
        for e in calls {
            self.call(host, e);
        }
    }

    /// Moves the conversations with a node's kubelet on; when they want to go on without news from elsewhere.
    pub(super) fn pump_sessions(&mut self, host: usize) -> Option<Instant> {
        let open: Vec<Conversation> =
            self.sessions.iter().filter(|(_, s)| s.host == host).map(|(c, _)| *c).collect();
        let mut next: Option<Instant> = None;
        for c in open {
            let Some(s) = self.sessions.get(&c) else { continue };
            if s.since > self.now {
                next = Some(next.map_or(s.since, |n| n.min(s.since)));
                continue;
            }
            let mut s = (**s).clone();
            let (messages, goes_on) = s.pump(Arc::make_mut(&mut self.site), self.setup.settings.epoch);
            if !messages.is_empty() {
                next = Some(self.now);
            }
            let at = self.now + DELIVERY.0;
            for reply in messages {
                self.queue.push(at, Event::Reply(c, reply));
            }
            if goes_on {
                self.sessions.insert(c, Arc::new(s));
            } else {
                self.queue.push(at, Event::Reply(c, Reply::End));
                self.sessions.remove(&c);
            }
        }
        next
    }

    /// Hands a request to a kubelet and answers with what comes of it.
    pub(super) fn kubelet_call(&mut self, c: Conversation, call: &apiserver::KubeletCall, at: Instant) {
        let begun = if call.what == "proxy" {
            match self.proxy_target(call) {
                Ok(to) => session::proxy(Arc::make_mut(&mut self.site), API_HOST, call, to),
                Err(s) => Begun::Done(Response::object(s.code, s.to_value())),
            }
        } else {
            let site = Arc::make_mut(&mut self.site);
            session::begin(site, call, self.now, self.setup.settings.epoch, &|node| {
                let nodes = self.api.resource("", "nodes").and_then(|r| self.api.store.get(r, "", node));
                nodes.map_or_else(String::new, |n| {
                    n.at(&["status", "addresses", "0", "address"]).text().to_owned()
                })
            })
        };
        match begun {
            Begun::Done(r) => {
                self.queue.push(at, Event::Reply(c, Reply::Head(Box::new(r))));
                self.queue.push(at, Event::Reply(c, Reply::End));
            }
            Begun::Open(head, mut session) => {
                session.since = at;
                if let Some(head) = head {
                    self.queue.push(at, Event::Reply(c, Reply::Head(Box::new(head))));
                }
                self.wake(Part::Host(session.host), at);
                self.sessions.insert(c, Arc::new(session));
            }
        }
    }

    /// Where a proxied request goes. Models: `ResourceLocation` of pods and services.
    fn proxy_target(&self, call: &apiserver::KubeletCall) -> Result<SocketAddr, Status> {
        let (object, port) = (&call.object, call.port.as_str());
        let address = |ip: &str, port: u16| {
            let ip = ip.parse().map_err(|_| Status::internal("address not allowed"))?;
            Ok(SocketAddr::new(ip, port))
        };
        match object.kind() {
            "Pod" => {
                let first = object
                    .at(&["spec", "containers"])
                    .items()
                    .find_map(|c| c.at(&["ports", "0", "containerPort"]).as_int());
                let port = if port.is_empty() { first } else { port.parse().ok() };
                address(object.at(&["status", "podIP"]).text(), port.unwrap_or(80) as u16)
            }
            "Service" => self.service_endpoint(object, port, address),
            _ => Err(Status::internal("the proxy to nodes is not modelled")),
        }
    }

    fn service_endpoint(
        &self,
        service: &Value,
        port: &str,
        address: impl Fn(&str, u16) -> Result<SocketAddr, Status>,
    ) -> Result<SocketAddr, Status> {
        let unavailable = || {
            Status::new(
                503,
                "ServiceUnavailable",
                format!("no endpoints available for service \"{}\"", service.name()),
            )
        };
        let ports = service.at(&["spec", "ports"]);
        let wanted = match ports
            .items()
            .find(|p| p.get("name").text() == port || p.get("port").int().to_string() == port)
        {
            Some(p) => p.get("name").smol(),
            None if port.is_empty() => ports.items().next().map(|p| p.get("name").smol()).unwrap_or_default(),
            None => {
                let m = format!("no service port \"{port}\" found for service \"{}\"", service.name());
                return Err(Status::new(503, "ServiceUnavailable", m));
            }
        };
        let endpoints = self.api.resource("", "endpoints").ok_or_else(unavailable)?;
        let found =
            self.api.store.get(endpoints, service.namespace(), service.name()).ok_or_else(unavailable)?;
        for subset in found.get("subsets").items() {
            let to = subset.get("ports").items().find(|p| p.get("name").text() == wanted);
            let ip = subset.at(&["addresses", "0", "ip"]).text();
            if let (Some(p), false) = (to, ip.is_empty()) {
                return address(ip, p.get("port").int() as u16);
            }
        }
        Err(unavailable())
    }

    /// A process talks to the API server.
    pub(super) fn call(&mut self, host: usize, e: RpcEvent) {
        let c = (host, e.id);
        let Some(message) = e.message else {
            self.watches.remove(&c);
            if let Some(s) = self.sessions.remove(&c) {
                s.hang_up(Arc::make_mut(&mut self.site));
                self.wake(Part::Host(s.host), self.now);
            }
            return;
        };
        if let (Some(m), Some(s)) = (message.downcast_ref::<Message>(), self.sessions.get_mut(&c)) {
            let s = Arc::make_mut(s);
            s.hear(Arc::make_mut(&mut self.site), m);
            let part = Part::Host(s.host);
            self.wake(part, self.now);
            return;
        }
        let Some(req) = message.downcast_ref::<Request>() else { return };
        let (there, back) = (
            self.chance.between(REQUEST.0 / 2, REQUEST.1 / 2),
            self.chance.between(REQUEST.0 / 2, REQUEST.1 / 2),
        );
        let at = self.now + there;
        let text = format!("{} {}", req.method.as_str(), req.path);
        let cause = self.api.trace.add(Cause::NONE, at, "user", "request", &req.path, &text);
        let http = e.service == node::apifront::SERVICE;
        match self.api.handle(at, cause, req) {
            Outcome::Done(mut r) => {
                if http {
                    self.as_json(&mut r, apiserver::wants_pretty(req));
                }
                self.queue.push(at + back, Event::Reply(c, Reply::Head(Box::new(r))));
                self.queue.push(at + back, Event::Reply(c, Reply::End));
            }
            Outcome::Watch(watch, head) => {
                self.queue.push(at + back, Event::Reply(c, Reply::Head(Box::new(head))));
                if let Some(until) = watch.until {
                    self.queue.push(until, Event::Reply(c, Reply::End));
                }
                self.watches.insert(c, Arc::new(Open { watch, http }));
                self.wake(Part::Watch(c), at + back);
            }
            Outcome::Kubelet(call) => self.kubelet_call(c, &call, at + back),
        }
    }

    /// Turns an answer's object into the bytes that HTTP clients read.
    pub(super) fn as_json(&self, r: &mut Response, pretty: bool) {
        if let Body::Object(v) = &r.body {
            let registry = &self.api.registry;
            let text = if pretty {
                apiserver::pretty_json(registry, v)
            } else {
                apiserver::raw_json(registry, v) + "\n"
            };
            r.body = Body::Bytes(text.into_bytes().into());
            if !r.headers.iter().any(|(k, _)| k == "content-type") {
                r.headers.push(("Content-Type".into(), "application/json".into()));
            }
        }
    }

    pub(super) fn poll_watch(&mut self, c: Conversation) -> Option<Instant> {
        let open = Arc::make_mut(self.watches.get_mut(&c)?);
        let events = self.api.poll_wire(&mut open.watch, self.now);
        let next = self.api.next_commit(&open.watch);
        let broken = events.iter().any(|e| e.get("type").text() == "ERROR");
        let http = open.http;
        for e in events {
            let m = if http {
                let line = apiserver::raw_json(&self.api.registry, &e) + "\n";
                Message::Data(1, line.into_bytes().into())
            } else {
                Message::Event(e)
            };
            self.queue.push(self.now, Event::Reply(c, Reply::Message(m)));
        }
        if broken {
            self.queue.push(self.now, Event::Reply(c, Reply::End));
            self.watches.remove(&c);
        }
        next
    }

    pub(super) fn reply(&mut self, host: usize, rpc: u64, reply: Reply) {
        if host == OUTSIDE {
            if let Some(heard) = self.outside.get_mut(&rpc) {
                heard.push(match reply {
                    Reply::Head(r) => Heard::Head(r),
                    Reply::Message(m) => Heard::Message(m),
                    Reply::End => Heard::End,
                });
            }
            return;
        }
        let Some(kernel) = self.kernel(host) else { return };
        let heard = match reply {
            Reply::Head(r) => kernel.rpc_push(rpc, Arc::new(*r)),
            Reply::Message(m) => kernel.rpc_push(rpc, Arc::new(m)),
            Reply::End => {
                kernel.rpc_end(rpc);
                self.watches.remove(&(host, rpc));
                true
            }
        };
        if !heard {
            self.watches.remove(&(host, rpc));
        }
    }

    /// Opens a conversation with a kubelet for a client outside of the world; [`Self::hear`] gives the answer's head first.
    pub fn open(&mut self, call: &apiserver::KubeletCall) -> u64 {
        let id = self.outside.get_max().map_or(1, |(n, _)| n + 1);
        self.outside.insert(id, Vec::new());
        self.kubelet_call((OUTSIDE, id), call, self.now);
        id
    }

    /// Says something in a conversation.
    pub fn say(&mut self, id: u64, message: &Message) {
        if let Some(s) = self.sessions.get_mut(&(OUTSIDE, id)) {
            let s = Arc::make_mut(s);
            s.hear(Arc::make_mut(&mut self.site), message);
            let part = Part::Host(s.host);
            self.wake(part, self.now);
        }
    }

    /// Takes what a conversation brought.
    pub fn hear(&mut self, id: u64) -> Vec<Heard> {
        self.outside.get_mut(&id).map(core::mem::take).unwrap_or_default()
    }

    /// Ends a conversation.
    pub fn hang_up(&mut self, id: u64) {
        self.outside.remove(&id);
        if let Some(s) = self.sessions.remove(&(OUTSIDE, id)) {
            s.hang_up(Arc::make_mut(&mut self.site));
            self.wake(Part::Host(s.host), self.now);
        }
    }

    /// Answers a request from outside, as the HTTP front does.
    pub fn request(&mut self, req: &Request) -> Outcome {
        let now = self.now;
        let text = format!("{} {}", req.method.as_str(), req.path);
        let cause = self.api.trace.add(Cause::NONE, now, "user", "request", &req.path, &text);
        let out = self.api.handle(now, cause, req);
        self.spread_changes();
        out
    }
}
