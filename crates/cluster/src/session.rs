//! Conversations that the API server hands to a kubelet, exec, attach, logs, port-forward, or holds itself with a pod:
//! proxies.
//!
//! Models: the kubelet's streaming server and `containerLogs`. What it says of a container that cannot be reached is in
//! the words of the kubelet and of the API server's proxy.

use crate::dial::{self, Dial, Proxied};
use crate::machine::Site;
use crate::streams::Reply;
use api::wire::{Body, Message, Method, Response};
use api::{SmolStr, Value, obj};
use apiserver::{KubeletCall, Status};
use net::{NsId, SocketId};
use node::runtime::{Log, LogLine, Wires, exit_code};
use shell::kernel::{Gpid, PipeId, TtyId};
use sim::{Cause, Epoch, Instant};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// An open conversation with a kubelet.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// The machine's host number.
    pub host: usize,
    /// From when on the client has the head of the answer.
    pub since: Instant,
    target: Target,
    /// Input that did not fit yet, and whether it ends after that.
    input: (Vec<u8>, bool),
}

#[derive(Clone, Debug)]
enum Target {
    Exec {
        pid: Gpid,
        input: Option<PipeId>,
        out: PipeId,
        err: PipeId,
    },
    Terminal {
        pid: Gpid,
        tty: TtyId,
    },
    Attach {
        uid: SmolStr,
        container: SmolStr,
        n: u64,
        tty: Option<TtyId>,
        once: bool,
    },
    /// Nothing but an end.
    Failed(Value),
    /// A connection into a pod's network namespace: its port, and the pod for messages.
    Forward {
        dial: Dial,
        port: u16,
        pod: SmolStr,
        uid: SmolStr,
    },
    /// A request to a pod; the answer's head is all that it gives.
    Proxy(Box<Proxied>),
    Log {
        uid: SmolStr,
        container: SmolStr,
        first: Vec<u8>,
        last: Arc<Log>,
        position: usize,
        stamps: bool,
    },
}

/// What a call to a kubelet gives at once.
pub(crate) enum Begun {
    /// An answer without a conversation.
    Done(Response),
    /// The head of a conversation, if it is known already.
    Open(Option<Response>, Session),
}

fn fail(s: Status) -> Begun {
    Begun::Done(Response::object(s.code, s.to_value()))
}

fn internal(m: String) -> Status {
    Status::internal(&m)
}

fn param<'a>(call: &'a KubeletCall, key: &str) -> &'a str {
    call.query.iter().find(|(k, _)| k == key).map_or("", |(_, v)| v)
}

fn flag(call: &KubeletCall, key: &str) -> bool {
    matches!(param(call, key), "true" | "1")
}

fn names(list: &Value) -> String {
    list.items().map(|c| c.get("name").text()).collect::<Vec<_>>().join(" ")
}

/// Which container is meant. Models: `podutils` in the API server's pod registry.
fn container_of(call: &KubeletCall) -> Result<SmolStr, Status> {
    let (pod, spec) = (&call.object, call.object.get("spec"));
    let wanted = param(call, "container");
    let lists = ["containers", "initContainers", "ephemeralContainers"];
    if !wanted.is_empty() {
        let known = lists.iter().flat_map(|l| spec.get(l).items()).any(|c| c.get("name").text() == wanted);
        return if known {
            Ok(wanted.into())
        } else {
            Err(Status::bad_request(format!("container {wanted} is not valid for pod {}", pod.name())))
        };
    }
    let mut all = spec.get("containers").items();
    match (all.next(), all.next()) {
        (Some(c), None) => Ok(c.get("name").smol()),
        (None, _) => {
            Err(Status::bad_request(format!("a container name must be specified for pod {}", pod.name())))
        }
        _ => {
            let mut m = format!(
                "a container name must be specified for pod {}, choose one of: [{}]",
                pod.name(),
                names(spec.get("containers"))
            );
            if spec.get("initContainers").items().next().is_some() {
                m += &format!(" or one of the init containers: [{}]", names(spec.get("initContainers")));
            }
            Err(Status::bad_request(m))
        }
    }
}

fn state_of(pod: &Value, container: &str) -> Value {
    let lists = ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"];
    lists
        .iter()
        .flat_map(|l| pod.get("status").get(l).items())
        .find(|c| c.get("name").text() == container)
        .cloned()
        .unwrap_or_default()
}

/// Begins what a call asks for.
pub(crate) fn begin(
    site: &mut Site,
    call: &KubeletCall,
    now: Instant,
    epoch: Epoch,
    addresses: &dyn Fn(&str) -> String,
) -> Begun {
    let pod = &call.object;
    let container = match container_of(call) {
        Ok(c) => c,
        // A port belongs to the pod.
        Err(_) if call.what == "portforward" => SmolStr::default(),
        Err(s) => return fail(s),
    };
    let node = pod.at(&["spec", "nodeName"]).text();
    if node.is_empty() {
        return if call.what == "log" {
            Begun::Done(bytes(Vec::new()))
        } else {
            fail(Status::bad_request(format!("pod {} does not have a host assigned", pod.name())))
        };
    }
    let reachable =
        site.host_of(node).filter(|h| site.machines.get(h - 1).is_some_and(|m| m.on && m.kubelet.online));
    let Some(host) = reachable else {
        let (to, path) =
            (format!("{}:10250", addresses(node)), format!("{}/{}/{container}", pod.namespace(), pod.name()));
        let why = if site.host_of(node).is_some() {
            "connect: no route to host"
        } else {
            "connect: connection refused"
        };
        let dial = format!("dial tcp {to}: {why}");
        let m = if call.what == "log" {
            format!("Get \"https://{to}/containerLogs/{path}\": {dial}")
        } else {
            format!("error dialing backend: {dial}")
        };
        return fail(Status::new(500, "", m));
    };
    match call.what.as_str() {
        "log" => log(site, host, call, &container, now, epoch),
        "exec" => exec(site, host, call, &container),
        "portforward" => forward(site, host, call),
        _ => attach(site, host, call, &container),
    }
}

fn bytes(b: Vec<u8>) -> Response {
    Response {
        status: 200,
        headers: vec![("content-type".into(), "text/plain".into())],
        warnings: Vec::new(),
        body: Body::Bytes(b.into()),
        stream: false,
    }
}

fn upgraded() -> Response {
    Response { status: 101, headers: Vec::new(), warnings: Vec::new(), body: Body::Empty, stream: true }
}

fn stamp(l: &LogLine, stamps: bool, epoch: Epoch) -> String {
    if !stamps {
        return l.text.to_string();
    }
    let c = epoch.civil(l.at);
    format!("{}.{:09}Z {}", c.rfc3339().trim_end_matches('Z'), c.nanos, l.text)
}

fn log(site: &Site, host: usize, call: &KubeletCall, container: &str, now: Instant, epoch: Epoch) -> Begun {
    let pod = &call.object;
    let Some(m) = site.machines.get(host - 1) else { return fail(Status::internal("no such node")) };
    let previous = flag(call, "previous");
    let Some(log) = m.kubelet.log(pod.uid(), container, previous) else {
        if previous {
            return fail(Status::bad_request(format!(
                "previous terminated container \"{container}\" in pod \"{}\" not found",
                pod.name()
            )));
        }
        let state = state_of(pod, container);
        let reason = state.at(&["state", "waiting", "reason"]).text();
        let m = match reason {
            "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
                format!(
                    "container \"{container}\" in pod \"{}\" is waiting to start: trying and failing to pull image",
                    pod.name()
                )
            }
            "" => format!("container \"{container}\" in pod \"{}\" is not available", pod.name()),
            r => format!("container \"{container}\" in pod \"{}\" is waiting to start: {r}", pod.name()),
        };
        return fail(Status::bad_request(m));
    };
    let stamps = flag(call, "timestamps");
    let since = param(call, "sinceSeconds")
        .parse::<u64>()
        .ok()
        .map(|s| now.nanos().saturating_sub(s * 1_000_000_000));
    let since = since.or_else(|| {
        let unix = sim::Civil::parse(param(call, "sinceTime"))?.unix();
        Some(u64::try_from(unix - epoch.0).unwrap_or(0) * 1_000_000_000)
    });
    let mut lines: Vec<&LogLine> = log.lines().filter(|l| since.is_none_or(|t| l.at.nanos() >= t)).collect();
    if let Ok(n) = param(call, "tailLines").parse::<usize>() {
        lines.drain(..lines.len().saturating_sub(n));
    }
    let mut text: Vec<u8> = lines.iter().flat_map(|l| stamp(l, stamps, epoch).into_bytes()).collect();
    if let Ok(n) = param(call, "limitBytes").parse::<usize>() {
        text.truncate(n);
    }
    if !flag(call, "follow") || previous {
        return Begun::Done(bytes(text));
    }
    let mut head = bytes(Vec::new());
    head.stream = true;
    let position = log.end();
    let (uid, container) = (pod.uid().into(), container.into());
    let target = Target::Log { uid, container, first: text, last: log, position, stamps };
    Begun::Open(Some(head), Session { host, since: Instant::ZERO, target, input: (Vec::new(), false) })
}

fn exec(site: &mut Site, host: usize, call: &KubeletCall, container: &str) -> Begun {
    let Some(m) = site.machines.get_mut(host - 1) else { return fail(Status::internal("no such node")) };
    let rt = &mut Arc::make_mut(m).kubelet;
    let n = match rt.running(call.object.uid(), container) {
        Ok(n) => n,
        Err(e) => return fail(internal(format!("unable to upgrade connection: {e}"))),
    };
    let argv: Vec<String> =
        call.query.iter().filter(|(k, _)| k == "command").map(|(_, v)| v.clone()).collect();
    let k = &mut rt.runtime.kernel;
    let (fds, tty, ends) = if flag(call, "tty") {
        let tty = k.add_tty((80, 24));
        ((0..3).map(|fd| (fd, k.open_tty(tty))).collect(), Some(tty), None)
    } else {
        let (out, f1) = k.pipe_out();
        let (err, f2) = k.pipe_out();
        let (input, f0) = if flag(call, "stdin") {
            let (i, f) = k.pipe_in();
            (Some(i), f)
        } else {
            (None, k.open_null())
        };
        (vec![(0, f0), (1, f1), (2, f2)], None, Some((input, out, err)))
    };
    let mut wires = Wires { net: &mut site.net, sockets: &mut site.sockets, cause: Cause::NONE };
    match rt.runtime.exec(&mut wires, n, &argv, fds, tty) {
        Ok(pid) => {
            let target = match (tty, ends) {
                (Some(tty), _) => Target::Terminal { pid, tty },
                (None, Some((input, out, err))) => Target::Exec { pid, input, out, err },
                (None, None) => return fail(Status::internal("no streams")),
            };
            Begun::Open(
                Some(upgraded()),
                Session { host, since: Instant::ZERO, target, input: (Vec::new(), false) },
            )
        }
        Err(e) => {
            // What tells one exec from another: its process and its command.
            let id = sim::Seed(n as u64).stream(&argv.join(" ")).bits();
            let s = internal(format!(
                "error executing command in container: failed to exec in container: failed to start \
                 exec \"{id:064x}\": OCI runtime exec failed: exec failed: unable to start container process: {e}: unknown"
            ));
            let target = Target::Failed(internal(s.message).to_value());
            Begun::Open(
                Some(upgraded()),
                Session { host, since: Instant::ZERO, target, input: (Vec::new(), false) },
            )
        }
    }
}

fn attach(site: &mut Site, host: usize, call: &KubeletCall, container: &str) -> Begun {
    let Some(m) = site.machines.get_mut(host - 1) else { return fail(Status::internal("no such node")) };
    let rt = &mut Arc::make_mut(m).kubelet;
    let uid = call.object.uid();
    let n = match rt.running(uid, container) {
        Ok(n) => n,
        Err(e) => return fail(internal(format!("unable to upgrade connection: {e}"))),
    };
    rt.runtime.take_tap(n);
    let tty = rt.runtime.container(n).and_then(|c| c.tty).filter(|_| flag(call, "tty"));
    let once = call
        .object
        .at(&["spec", "containers"])
        .items()
        .find(|c| c.get("name").text() == container)
        .is_some_and(|c| c.get("stdinOnce").is_true());
    let target = Target::Attach { uid: uid.into(), container: container.into(), n, tty, once };
    Begun::Open(Some(upgraded()), Session { host, since: Instant::ZERO, target, input: (Vec::new(), false) })
}

/// Connects to a port of a pod as a process in it would. Models: containerd's `portForward`.
fn forward(site: &mut Site, host: usize, call: &KubeletCall) -> Begun {
    let Some(m) = site.machines.get(host - 1) else { return fail(Status::internal("no such node")) };
    let (pod, uid) = (call.object.name(), call.object.uid());
    let Some(port) = param(call, "ports").parse::<u16>().ok().filter(|p| *p > 0) else {
        return fail(Status::bad_request("you must specify at least 1 port"));
    };
    let Some(ns) = m.kubelet.network_of(uid) else {
        return fail(internal(format!(
            "unable to upgrade connection: pod not found (\"{pod}_{}\")",
            call.object.namespace()
        )));
    };
    let to = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    let target = match Dial::open(&mut site.net, ns, to) {
        Ok(dial) => Target::Forward { dial, port, pod: pod.into(), uid: uid.into() },
        Err(e) => Target::Failed(internal(not_forwarded(port, pod, uid, &e)).to_value()),
    };
    Begun::Open(Some(upgraded()), Session { host, since: Instant::ZERO, target, input: (Vec::new(), false) })
}

fn not_forwarded(port: u16, pod: &str, uid: &str, why: &str) -> String {
    let space = format!("/var/run/netns/cni-{uid}");
    let why = why.replacen("dial tcp ", "dial tcp4 ", 1);
    format!(
        "error forwarding port {port} to pod {pod}, uid : failed to execute portforward in network namespace \
         \"{space}\": failed to connect to localhost:{port} inside namespace \"{space}\", IPv4: {why} IPv6 dial tcp6: \
         address localhost: no suitable address"
    )
}

/// Passes a request on from the API server's node, `host`, to an address.
pub(crate) fn proxy(site: &mut Site, host: usize, call: &KubeletCall, to: SocketAddr) -> Begun {
    let Some(req) = &call.request else { return fail(Status::internal("no request")) };
    let ns = site.machines.get(host - 1).filter(|m| m.on).map(|m| m.kubelet.ns);
    let Some(ns) = ns else {
        return Begun::Done(dial::unreachable(&format!("dial tcp {to}: connect: no route to host")));
    };
    match Dial::open(&mut site.net, ns, to) {
        Ok(d) => {
            let method = if req.method == Method::Get { "GET" } else { req.method.as_str() };
            let target = Target::Proxy(Box::new(Proxied::new(d, method)));
            let input = (dial::request_bytes(req, &call.path, to), false);
            Begun::Open(None, Session { host, since: Instant::ZERO, target, input })
        }
        Err(e) => Begun::Done(dial::unreachable(&e)),
    }
}

fn success() -> Value {
    obj!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})
}

fn exited(code: i64) -> Value {
    if code == 0 {
        return success();
    }
    obj!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
        "message": format!("command terminated with non-zero exit code: exit status {code}"),
        "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]}
    })
}

impl Session {
    /// What the client says.
    pub fn hear(&mut self, site: &mut Site, message: &Message) {
        let Some(m) = site.machines.get_mut(self.host - 1) else { return };
        let rt = &mut Arc::make_mut(m).kubelet.runtime;
        match message {
            Message::Data(0, b) => self.input.0.extend_from_slice(b),
            Message::Close(0) => self.input.1 = true,
            Message::Resize(columns, rows) => match self.target {
                Target::Terminal { tty, .. } | Target::Attach { tty: Some(tty), .. } => {
                    rt.kernel.tty_resize(tty, (*columns, *rows));
                }
                _ => {}
            },
            _ => {}
        }
    }

    /// Whether a socket is this conversation's.
    pub fn owns(&self, ns: NsId, socket: SocketId) -> bool {
        let dial = match &self.target {
            Target::Forward { dial, .. } => dial,
            Target::Proxy(p) => &p.dial,
            _ => return false,
        };
        (dial.ns, dial.socket) == (ns, socket)
    }

    /// The client is gone.
    pub fn hang_up(&self, site: &mut Site) {
        match &self.target {
            Target::Forward { dial, .. } => return dial.close(&mut site.net),
            Target::Proxy(p) => return p.dial.close(&mut site.net),
            _ => {}
        }
        let Some(m) = site.machines.get_mut(self.host - 1) else { return };
        let kubelet = &mut Arc::make_mut(m).kubelet;
        match self.target {
            Target::Terminal { tty, .. } => kubelet.runtime.kernel.tty_hangup(tty),
            Target::Exec { input: Some(i), .. } => kubelet.runtime.kernel.feed_end(i),
            _ => {}
        }
    }

    /// Passes on what there is, after the machine's turn. Gives what to say and whether the conversation goes on.
    pub fn pump(&mut self, site: &mut Site, epoch: Epoch) -> (Vec<Reply>, bool) {
        if let Target::Proxy(p) = &mut self.target {
            let answer = p.pump(&mut site.net, &mut self.input.0);
            if answer.is_some() {
                p.dial.close(&mut site.net);
            }
            let goes_on = answer.is_none();
            return (answer.into_iter().map(|r| Reply::Head(Box::new(r))).collect(), goes_on);
        }
        let (messages, goes_on) = self.pump_messages(site, epoch);
        (messages.into_iter().map(Reply::Message).collect(), goes_on)
    }

    fn pump_messages(&mut self, site: &mut Site, epoch: Epoch) -> (Vec<Message>, bool) {
        if let Target::Forward { dial, port, pod, uid } = &mut self.target {
            return pump_forward(&mut site.net, dial, &mut self.input, |e| not_forwarded(*port, pod, uid, e));
        }
        let Some(m) = site.machines.get_mut(self.host - 1) else { return (Vec::new(), false) };
        let machine = Arc::make_mut(m);
        if !machine.on || !machine.kubelet.online {
            return (Vec::new(), true);
        }
        let kubelet = &mut machine.kubelet;
        let mut out = Vec::new();
        let mut say = |channel: u8, b: Vec<u8>| {
            if !b.is_empty() {
                out.push(Message::Data(channel, b.into()));
            }
        };
        let (rest, ends) = &mut self.input;
        match &mut self.target {
            Target::Forward { .. } | Target::Proxy(_) => {}
            Target::Failed(s) => {
                out.push(Message::Status(core::mem::take(s)));
                return (out, false);
            }
            Target::Exec { pid, input, out: o, err } => {
                let k = &mut kubelet.runtime.kernel;
                if let Some(i) = *input {
                    let n = k.feed(i, rest);
                    rest.drain(..n);
                    if (rest.is_empty() && *ends) || !k.has_reader(i) {
                        k.feed_end(i);
                        *input = None;
                    }
                }
                say(1, k.drain(*o));
                say(2, k.drain(*err));
                if let Some(s) = kubelet.runtime.take_exec_end(*pid) {
                    let k = &mut kubelet.runtime.kernel;
                    say(1, k.drain(*o));
                    say(2, k.drain(*err));
                    k.drain_end(*o);
                    k.drain_end(*err);
                    out.push(Message::Status(exited(exit_code(s))));
                    return (out, false);
                }
            }
            Target::Terminal { pid, tty } => {
                let k = &mut kubelet.runtime.kernel;
                k.tty_input(*tty, rest);
                rest.clear();
                say(1, k.tty_output(*tty));
                if let Some(s) = kubelet.runtime.take_exec_end(*pid) {
                    let k = &mut kubelet.runtime.kernel;
                    say(1, k.tty_output(*tty));
                    k.remove_tty(*tty);
                    out.push(Message::Status(exited(exit_code(s))));
                    return (out, false);
                }
            }
            Target::Attach { uid, container, n, once, .. } => {
                let taken = kubelet.runtime.input(*n, rest);
                rest.drain(..taken);
                if rest.is_empty() && *ends && *once {
                    kubelet.runtime.input_end(*n);
                    *ends = false;
                }
                for (err, b) in kubelet.runtime.take_tap(*n) {
                    say(if err { 2 } else { 1 }, b);
                }
                if kubelet.running(uid, container) != Ok(*n) {
                    out.push(Message::Status(success()));
                    return (out, false);
                }
            }
            Target::Log { uid, container, first, last, position, stamps } => {
                say(1, core::mem::take(first));
                if let Some(log) = kubelet.log(uid, container, false) {
                    if log.end() < *position {
                        // Another run's log: follow ends with the run that it began with.
                        return (out, false);
                    }
                    *last = log;
                }
                let text: String = last.after(*position).map(|l| stamp(l, *stamps, epoch)).collect();
                *position = last.end();
                say(1, text.into_bytes());
                if kubelet.running(uid, container).is_err() {
                    return (out, false);
                }
            }
        }
        (out, true)
    }
}

/// Moves a forwarded connection on: data on channel 0, what went wrong on channel 1.
fn pump_forward(
    net: &mut net::Net,
    dial: &mut Dial,
    (rest, ends): &mut (Vec<u8>, bool),
    failed: impl Fn(&str) -> String,
) -> (Vec<Message>, bool) {
    match dial.connected(net) {
        Err(e) => {
            dial.close(net);
            return (vec![Message::Data(1, failed(&e).into_bytes().into())], false);
        }
        Ok(false) => return (Vec::new(), true),
        Ok(true) => {}
    }
    dial.write(net, rest, *ends);
    let (got, ended) = dial.read(net);
    let mut out = Vec::new();
    if !got.is_empty() {
        out.push(Message::Data(0, got.into()));
    }
    if ended {
        out.push(Message::Close(0));
    }
    if dial.over() {
        dial.close(net);
        return (out, false);
    }
    (out, true)
}
