//! `kubectl port-forward`

use super::stream::pod_of;
use crate::client::Api;
use crate::command::{Args, Command, Group};
use crate::complete;
use crate::cx::{Cx, Done, Event, Handle, Packet, Source, Stop};
use crate::error::Error;
use crate::flags::{Flag, Kind, flag};
use crate::tasks::Task;
use api::wire::{Message, Method, Request};
use api::{Value, gofmt};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// The command.
pub static COMMAND: Command = Command {
    name: "port-forward",
    group: Group::Troubleshooting,
    short: "Forward one or more local ports to a pod",
    long: "Listens on ports of this machine and passes their connections on to a pod, or to one pod of a workload or \
           service. It runs until it is interrupted, or until the pod ends.",
    usage: "port-forward TYPE/NAME [options] [LOCAL_PORT:]REMOTE_PORT [...[LOCAL_PORT_N:]REMOTE_PORT_N]",
    example: "# Local port 8080 to the pod's port 80\nkubectl port-forward pod/web 8080:80\n\n# A pod of a \
              service\nkubectl port-forward svc/web 8080:http\n\n# Any free local port\nkubectl port-forward web :80",
    flags: &[FLAGS],
    run: Some(run),
    complete: Some(complete::pods),
    ..Command::EMPTY
};

const FLAGS: &[Flag] = &[
    flag(
        "address",
        Kind::Slice,
        "[localhost]",
        "Addresses to listen on: IP addresses or localhost, with commas between.",
    ),
    flag("pod-running-timeout", Kind::Duration, "1m0s", "How long to wait until a pod runs"),
];

fn fail<T>(s: impl Into<String>) -> Done<T> {
    Err(Error::Text(s.into()).into())
}

/// `8080:http` → what is written before and behind the colon.
fn split(word: &str) -> Result<(String, String), Error> {
    let parts: Vec<&str> = word.split(':').collect();
    match parts.as_slice() {
        [one] => Ok(((*one).to_owned(), (*one).to_owned())),
        ["", remote] => Ok(("0".to_owned(), (*remote).to_owned())),
        [local, remote] => Ok(((*local).to_owned(), (*remote).to_owned())),
        _ => Err(Error::Text(format!("invalid port format '{word}'"))),
    }
}

fn port_number(text: &str, which: &str) -> Result<u16, Error> {
    text.parse::<u16>().map_err(|_| {
        let why = if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
            "value out of range"
        } else {
            "invalid syntax"
        };
        Error::Text(format!(
            "error parsing {which} port '{text}': strconv.ParseUint: parsing {}: {why}",
            gofmt::quote(text)
        ))
    })
}

/// The port number of a pod's container by name.
fn named_port(pod: &Value, name: &str) -> Option<i64> {
    let spec = pod.get("spec");
    ["containers", "initContainers"]
        .iter()
        .flat_map(|l| spec.get(l).items())
        .flat_map(|c| c.get("ports").items())
        .find(|p| p.get("name").text() == name)
        .map(|p| p.get("containerPort").int())
}

/// Local and remote port numbers of a word.
fn translate(word: &str, pod: &Value, service: Option<&Value>) -> Result<(u16, u16), Error> {
    let (mut local, remote) = split(word)?;
    let given = local != remote || word.contains(':');
    let target: i64 = match service {
        Some(s) => {
            let number = remote.parse::<i64>().ok();
            let ports = s.at(&["spec", "ports"]);
            let port = ports
                .items()
                .find(|p| number.map_or(p.get("name").text() == remote, |n| p.get("port").int() == n))
                .ok_or_else(|| match number {
                    Some(n) => Error::Text(format!("Service {} does not have a service port {n}", s.name())),
                    None => {
                        Error::Text(format!("Service '{}' does not have a named port '{remote}'", s.name()))
                    }
                })?;
            if !given {
                local = port.get("port").int().to_string();
            }
            let to = port.get("targetPort");
            if s.at(&["spec", "clusterIP"]).text() == "None" || to.is_null() {
                match to.text() {
                    "" if to.int() > 0 => to.int(),
                    "" => port.get("port").int(),
                    name => named_port(pod, name).unwrap_or_else(|| port.get("port").int()),
                }
            } else if to.text().is_empty() {
                to.int()
            } else {
                named_port(pod, to.text()).ok_or_else(|| {
                    Error::Text(format!("Pod '{}' does not have a named port '{}'", pod.name(), to.text()))
                })?
            }
        }
        None if remote.bytes().all(|b| b.is_ascii_digit()) => i64::from(port_number(&remote, "remote")?),
        None => {
            let n = named_port(pod, &remote).ok_or_else(|| {
                Error::Text(format!("Pod '{}' does not have a named port '{remote}'", pod.name()))
            })?;
            if !given {
                local = n.to_string();
            }
            n
        }
    };
    let local = port_number(&local, "local")?;
    let target = u16::try_from(target).unwrap_or(0);
    if target == 0 {
        return Err(Error::text("remote port must be > 0"));
    }
    Ok((local, target))
}

fn run(cx: &mut Cx<'_>, a: &Args) -> Done {
    if a.words.len() < 2 {
        return Err(a.usage("TYPE/NAME and list of ports are required for port-forward"));
    }
    let api = cx.api(a)?;
    let word = a.words[0].clone();
    let Some(pod) = pod_of(cx, a, &api, &word, false)?.pop() else { return fail("no pod found") };
    let service = match word.split_once('/') {
        Some((kind, name)) => {
            let d = cx.discovery(&api)?;
            let r = d.resolve(kind)?;
            if r.kind == "Service" { Some(api.get(cx, &r.path(&api.namespace, name))?) } else { None }
        }
        None => None,
    };
    let mut ports = Vec::new();
    for w in &a.words[1..] {
        ports.push(translate(w, &pod, service.as_ref())?);
    }
    let phase = pod.at(&["status", "phase"]).text();
    if phase != "Running" {
        return fail(format!("unable to forward port because pod is not running. Current status={phase}"));
    }
    let mut given = a.list("address").to_vec();
    if given.is_empty() {
        given.push("localhost".into());
    }
    let mut addresses: Vec<(IpAddr, bool)> = Vec::new();
    for word in &given {
        if word == "localhost" {
            addresses.push((Ipv4Addr::LOCALHOST.into(), true));
            addresses.push((Ipv6Addr::LOCALHOST.into(), false));
        } else {
            let Ok(ip) = word.parse() else { return fail(format!("{word} is not a valid IP")) };
            addresses.push((ip, true));
        }
    }
    let mut listeners = Vec::new();
    for &(local, remote) in &ports {
        let mut errors = Vec::new();
        let mut number = local;
        let mut any = false;
        for &(ip, needed) in &addresses {
            let at = SocketAddr::new(ip, number);
            match cx.listen(at)? {
                Ok((handle, port)) => {
                    any = true;
                    number = port;
                    listeners.push(Listener { handle, local: port, remote });
                    let shown = SocketAddr::new(ip, port);
                    cx.out(format!("Forwarding from {shown} -> {remote}\n"));
                }
                Err(e) => {
                    let net = if ip.is_ipv4() { "tcp4" } else { "tcp6" };
                    if needed || ip.is_ipv4() {
                        errors.push(format!("unable to create listener: Error listen {net} {at}: bind: {e}"));
                    }
                }
            }
        }
        if !any {
            cx.err(format!(
                "Unable to listen on port {local}: Listeners failed to create with the following errors: [{}]\n",
                errors.join(" ")
            ));
        }
    }
    if listeners.is_empty() {
        let list: Vec<String> = ports.iter().map(|(l, r)| format!("{{{l} {r}}}")).collect();
        return fail(format!("unable to listen on any of the requested ports: [{}]", list.join(" ")));
    }
    let path = format!("/api/v1/namespaces/{}/pods/{}/portforward", pod.namespace(), pod.name());
    let task = Forward { api, path, listeners, links: Vec::new() };
    Err(Stop::Enter(Box::new(Task::Forward(task))))
}

#[derive(Clone, Debug)]
struct Listener {
    handle: Handle,
    local: u16,
    remote: u16,
}

/// A connection that is passed on.
#[derive(Clone, Debug)]
struct Link {
    socket: Handle,
    stream: Handle,
    local: u16,
    remote: u16,
    /// The client has no more to say.
    done: bool,
}

/// A running `port-forward`.
#[derive(Clone, Debug)]
pub struct Forward {
    api: Arc<Api>,
    path: String,
    listeners: Vec<Listener>,
    links: Vec<Link>,
}

impl Forward {
    /// One event.
    pub fn turn(&mut self, cx: &mut Cx<'_>) -> Done<Option<i32>> {
        let mut sources: Vec<Source> = Vec::new();
        for l in &self.links {
            sources.push(Source::Stream(l.stream));
            if !l.done {
                sources.push(Source::Socket(l.socket));
            }
        }
        sources.extend(self.listeners.iter().map(|l| Source::Accept(l.handle)));
        match cx.select(&sources)? {
            Event::Accepted(h, Ok(socket)) => {
                let Some(l) = self.listeners.iter().find(|l| l.handle == h).cloned() else { return Ok(None) };
                cx.out(format!("Handling connection for {}\n", l.local));
                let r =
                    Request::new(Method::Post, self.path.as_str()).with_query("ports", l.remote.to_string());
                let opened = self.api.stream(cx, r);
                match cx.catch(opened)? {
                    Ok((stream, _)) => {
                        self.links.push(Link {
                            socket,
                            stream,
                            local: l.local,
                            remote: l.remote,
                            done: false,
                        });
                    }
                    Err(e) => {
                        cx.close(socket)?;
                        cx.err(format!("error: {}\nerror: lost connection to pod\n", e.message()));
                        return Ok(Some(1));
                    }
                }
            }
            Event::Socket(h, data) => {
                let Some(l) = self.links.iter_mut().find(|l| l.socket == h) else { return Ok(None) };
                if data.is_empty() {
                    l.done = true;
                    let stream = l.stream;
                    let _ = cx.send(stream, Message::Close(0))?;
                } else {
                    let stream = l.stream;
                    let _ = cx.send(stream, Message::Data(0, data))?;
                }
            }
            Event::Packet(h, p) => {
                let Some(at) = self.links.iter().position(|l| l.stream == h) else { return Ok(None) };
                let l = self.links[at].clone();
                match p {
                    Some(Packet::Message(Message::Data(0, d))) => {
                        let broken = cx.write_socket(l.socket, &d)?.is_err();
                        if broken {
                            self.drop(cx, at)?;
                        }
                    }
                    Some(Packet::Message(Message::Data(_, d))) => {
                        cx.err(format!(
                            "error: an error occurred forwarding {} -> {}: {}\n",
                            l.local,
                            l.remote,
                            String::from_utf8_lossy(&d).trim_end()
                        ));
                        self.drop(cx, at)?;
                    }
                    Some(Packet::Message(Message::Close(0))) => cx.end_socket(l.socket)?,
                    Some(Packet::Message(Message::Status(s))) if s.get("status").text() != "Success" => {
                        cx.err(format!(
                            "error: an error occurred forwarding {} -> {}: {}\n",
                            l.local,
                            l.remote,
                            s.get("message").text()
                        ));
                        self.drop(cx, at)?;
                    }
                    None => self.drop(cx, at)?,
                    _ => {}
                }
            }
            _ => {}
        }
        Ok(None)
    }

    fn drop(&mut self, cx: &mut Cx<'_>, at: usize) -> Done {
        let l = self.links.remove(at);
        cx.close(l.stream)?;
        cx.close(l.socket)
    }
}
