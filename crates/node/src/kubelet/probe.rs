//! Probes: HTTP, TCP and exec, with their thresholds.

use super::Cx;
use crate::runtime::Runtime;
use api::Value;
use net::ConnectOptions;
use shell::kernel::{Ended, Gpid, PipeId};
use sim::{Duration, Instant};
use std::net::{IpAddr, SocketAddr};

/// What a probe under way waits for.
#[derive(Clone, Debug)]
enum Under {
    Socket {
        id: net::SocketId,
        request: Option<String>,
        got: Vec<u8>,
    },
    Exec {
        pid: Gpid,
        out: PipeId,
        ended: Option<i64>,
    },
    /// A hook that only waits.
    Sleep,
}

/// A probe of a container.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    spec: Value,
    /// When the next attempt begins.
    pub at: Instant,
    successes: i64,
    failures: i64,
    under: Option<(Under, Instant)>,
    /// The result once a threshold was reached.
    pub result: Option<bool>,
}

/// What an attempt says.
pub(super) struct Attempt {
    /// Whether it succeeded.
    pub ok: bool,
    /// What the Unhealthy event says.
    pub message: String,
    /// Whether the failure threshold is reached with it.
    pub tripped: bool,
}

fn seconds(v: &Value, key: &str, d: u64) -> Duration {
    Duration::from_secs(v.get(key).as_int().map_or(d, |n| n.max(0) as u64))
}

impl Probe {
    /// A probe that begins after its initial delay; null makes none.
    pub(super) fn new(spec: &Value, now: Instant) -> Option<Probe> {
        let at = now + seconds(spec, "initialDelaySeconds", 0);
        spec.is_some().then(|| Probe { spec: spec.clone(), at, ..Probe::none() })
    }

    /// A lifecycle hook: one attempt, begun at once, that ends within `limit`.
    pub(super) fn hook(handler: &Value, now: Instant, limit: Duration) -> Option<Probe> {
        let sleep = handler.get("sleep");
        let limit = match sleep.is_some() {
            true => seconds(sleep, "seconds", 0).min(limit),
            false => limit,
        };
        let mut spec = handler.clone();
        spec.insert("timeoutSeconds", limit.as_secs() as i64);
        spec.insert("failureThreshold", 1);
        handler.is_some().then(|| Probe { spec, at: now, ..Probe::none() })
    }

    fn none() -> Probe {
        Probe { spec: Value::Null, at: Instant::ZERO, successes: 0, failures: 0, under: None, result: None }
    }

    /// Whether an attempt is under way.
    pub(super) fn busy(&self) -> bool {
        self.under.is_some()
    }

    /// When something is due.
    pub(super) fn due(&self) -> Instant {
        self.under.as_ref().map_or(self.at, |(_, deadline)| *deadline)
    }

    /// Whether a process belongs to it.
    pub(super) fn owns(&self, pid: Gpid) -> bool {
        matches!(&self.under, Some((Under::Exec { pid: p, .. }, _)) if *p == pid)
    }

    /// Its process ended.
    pub(super) fn ended(&mut self, e: &Ended) {
        if let Some((Under::Exec { ended, .. }, _)) = &mut self.under {
            *ended = Some(crate::runtime::exit_code(e.status));
        }
    }

    /// Begins an attempt if one is due, or looks at the one under way.
    pub(super) fn step(
        &mut self,
        cx: &mut Cx<'_, '_>,
        rt: &mut Runtime,
        c: &Value,
        n: u64,
        ip: IpAddr,
    ) -> Option<Attempt> {
        let now = cx.now();
        if self.under.is_none() {
            if self.at > now {
                return None;
            }
            self.at = now + seconds(&self.spec, "periodSeconds", 10);
            let deadline = now + seconds(&self.spec, "timeoutSeconds", 1);
            match self.begin(cx, rt, c, n, ip) {
                Ok(u) => self.under = Some((u, deadline)),
                Err(m) => return Some(self.count(false, m)),
            }
        }
        let outcome = self.look(cx, rt, ip)?;
        self.finish(cx, rt);
        Some(self.count(outcome.0, outcome.1))
    }

    fn port(&self, c: &Value, p: &Value) -> u16 {
        match p {
            Value::Int(n) => *n as u16,
            Value::Str(name) => {
                let port = c.get("ports").items().find(|x| x.get("name").text() == name);
                port.map_or(0, |x| x.get("containerPort").int()) as u16
            }
            _ => 0,
        }
    }

    fn begin(
        &self,
        cx: &mut Cx<'_, '_>,
        rt: &mut Runtime,
        c: &Value,
        n: u64,
        ip: IpAddr,
    ) -> Result<Under, String> {
        if self.spec.get("sleep").is_some() {
            return Ok(Under::Sleep);
        }
        let (http, tcp, exec) = (self.spec.get("httpGet"), self.spec.get("tcpSocket"), self.spec.get("exec"));
        if exec.is_some() {
            let argv: Vec<String> = exec.get("command").items().map(|a| a.text().to_owned()).collect();
            let (out, file) = rt.kernel.pipe_out();
            let null = rt.kernel.open_null();
            let pid = rt.exec(cx.wires, n, &argv, vec![(0, null), (1, file), (2, file)], None).map_err(|e| {
                format!("command error: OCI runtime exec failed: exec failed: unable to start container process: {e}: unknown")
            })?;
            return Ok(Under::Exec { pid, out, ended: None });
        }
        let (port, request) = if http.is_some() {
            let port = self.port(c, http.get("port"));
            let path = http.get("path").text();
            let mut r = format!(
                "GET {path} HTTP/1.1\r\nHost: {ip}:{port}\r\nUser-Agent: kube-probe/1.36\r\nAccept: */*\r\nConnection: close\r\n"
            );
            for h in http.get("httpHeaders").items() {
                r += &format!("{}: {}\r\n", h.get("name").text(), h.get("value").text());
            }
            (port, Some(r + "\r\n"))
        } else {
            (self.port(c, tcp.get("port")), None)
        };
        let to = SocketAddr::new(ip, port);
        let o = ConnectOptions { owner: 0, cause: cx.client.cause, ..ConnectOptions::default() };
        match cx.wires.net.tcp_connect(cx.ns, to, o) {
            Ok(id) => Ok(Under::Socket { id, request, got: Vec::new() }),
            Err(e) => Err(self.refused(ip, port, &e.to_string().to_lowercase())),
        }
    }

    fn refused(&self, ip: IpAddr, port: u16, why: &str) -> String {
        let dial = format!("dial tcp {ip}:{port}: connect: {why}");
        match self.spec.at(&["httpGet", "path"]).as_str() {
            Some(path) => format!("Get \"http://{ip}:{port}{path}\": {dial}"),
            None => dial,
        }
    }

    /// The outcome of the attempt under way, once there is one.
    fn look(&mut self, cx: &mut Cx<'_, '_>, rt: &mut Runtime, ip: IpAddr) -> Option<(bool, String)> {
        let now = cx.now();
        let (under, deadline) = self.under.as_mut()?;
        let late = *deadline <= now;
        match under {
            Under::Sleep => late.then(|| (true, String::new())),
            Under::Exec { out, ended, .. } => match ended {
                Some(0) => Some((true, String::new())),
                Some(code)
                    if self.spec.get("failureThreshold").int() == 1
                        && self.spec.get("periodSeconds").is_null() =>
                {
                    let text = String::from_utf8_lossy(&rt.kernel.drain(*out)).into_owned();
                    let command = command(&self.spec);
                    Some((
                        false,
                        format!(
                            "command '{command}' exited with {code}: {text}, message: {}",
                            api::gofmt::quote(&text)
                        ),
                    ))
                }
                Some(_) => Some((false, String::from_utf8_lossy(&rt.kernel.drain(*out)).into_owned())),
                None if late => {
                    let s = seconds(&self.spec, "timeoutSeconds", 1).as_secs();
                    Some((
                        false,
                        format!("command timed out: \"{}\" timed out after {s}s", command(&self.spec)),
                    ))
                }
                None => None,
            },
            Under::Socket { id, request, got } => {
                let id = *id;
                let (_, remote) = cx.wires.net.socket_addrs(cx.ns, id).ok()?;
                let port = remote.map_or(0, |r| r.port());
                let status = match cx.wires.net.socket_status(cx.ns, id) {
                    Ok(s) => s,
                    Err(e) => return Some((false, self.refused(ip, port, &e.to_string().to_lowercase()))),
                };
                if let Some(e) = status.error {
                    return Some((false, self.refused(ip, port, &e.to_string().to_lowercase())));
                }
                if status.connected {
                    match request.take() {
                        None if self.spec.get("httpGet").is_null() => return Some((true, String::new())),
                        Some(r) => {
                            let _ = cx.wires.net.send(cx.ns, id, r.as_bytes());
                        }
                        None => {}
                    }
                    while let Ok(b) = cx.wires.net.recv(cx.ns, id, 64 * 1024) {
                        if b.is_empty() || got.len() > 64 * 1024 {
                            break;
                        }
                        got.extend_from_slice(&b);
                    }
                    let head = String::from_utf8_lossy(got).into_owned();
                    let code = head
                        .strip_prefix("HTTP/1.")
                        .and_then(|h| h.get(2..5))
                        .and_then(|c| c.parse::<u16>().ok());
                    if let Some(code) = code {
                        let ok = (200..400).contains(&code);
                        return Some((
                            ok,
                            if ok {
                                String::new()
                            } else {
                                format!("HTTP probe failed with statuscode: {code}")
                            },
                        ));
                    }
                }
                if !late {
                    return None;
                }
                let path = self.spec.at(&["httpGet", "path"]).text();
                Some((
                    false,
                    match self.spec.get("httpGet").is_some() {
                        true if status.connected => format!(
                            "Get \"http://{ip}:{port}{path}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
                        ),
                        true => {
                            format!("Get \"http://{ip}:{port}{path}\": dial tcp {ip}:{port}: i/o timeout")
                        }
                        false => format!("dial tcp {ip}:{port}: i/o timeout"),
                    },
                ))
            }
        }
    }

    /// Lets go of what an attempt used.
    pub(super) fn finish(&mut self, cx: &mut Cx<'_, '_>, rt: &mut Runtime) {
        match self.under.take() {
            Some((Under::Socket { id, .. }, _)) => {
                let _ = cx.wires.net.close(cx.ns, id);
            }
            Some((Under::Exec { pid, out, ended }, _)) => {
                if ended.is_none() {
                    rt.kill_process(cx.wires, pid);
                }
                rt.kernel.drain_end(out);
            }
            Some((Under::Sleep, _)) | None => {}
        }
    }

    fn count(&mut self, ok: bool, message: String) -> Attempt {
        let threshold = |k: &str, d: i64| self.spec.get(k).as_int().unwrap_or(d).max(1);
        if ok {
            self.failures = 0;
            self.successes += 1;
            if self.successes >= threshold("successThreshold", 1) {
                self.result = Some(true);
            }
            return Attempt { ok, message, tripped: false };
        }
        self.successes = 0;
        self.failures += 1;
        let tripped = self.failures >= threshold("failureThreshold", 3);
        if tripped {
            self.result = Some(false);
            self.failures = 0;
        }
        Attempt { ok, message, tripped }
    }
}

fn command(spec: &Value) -> String {
    spec.at(&["exec", "command"]).items().map(Value::text).collect::<Vec<_>>().join(" ")
}
