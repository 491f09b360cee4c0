//! One pod's worker: from admission to the last container's end.

use super::probe::{Attempt, Probe};
use super::{Cx, env, images, status, volumes};
use crate::runtime::{ContainerSpec, Log, Runtime, Sandbox, Volume, Wires, exit_code};
use api::{SmolStr, Value, obj};
use imbl::OrdMap;
use shell::Signal;
use shell::fs::Cred;
use shell::kernel::{Ended, Gpid};
use sim::{Cause, Duration, Instant};
use std::sync::Arc;

/// Longest back-off of restarts and pulls. Models: `MaxContainerBackOff`.
const BACKOFF_MAX: Duration = Duration::from_secs(300);
const BACKOFF_MIN: Duration = Duration::from_secs(10);
/// A container that ran this long starts with a fresh back-off: twice the longest.
const BACKOFF_RESET: Duration = Duration::from_secs(600);
/// How often volumes that follow the API are brought up to date. Models: the sync period.
const VOLUME_PERIOD: Duration = Duration::from_secs(60);

/// How a container ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct End {
    pub code: i64,
    pub reason: SmolStr,
    pub message: String,
    pub started: Instant,
    pub finished: Instant,
    pub id: SmolStr,
}

/// What a container is doing.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    /// Waiting with a reason, `ContainerCreating` at first.
    Waiting(SmolStr, String),
    /// Its image is pulled until then.
    Pulling { until: Instant, since: Instant, check: bool },
    /// It is created and started at that time.
    Creating(Instant),
    /// It runs.
    Running(Instant),
    /// It ended.
    Ended(End),
}

/// A container of the pod.
#[derive(Clone, Debug)]
pub(super) struct Box_ {
    pub spec: Value,
    pub name: SmolStr,
    pub init: bool,
    /// An init container that restarts always: it runs beside the others.
    pub sidecar: bool,
    pub state: State,
    pub last: Option<End>,
    pub restarts: i64,
    pub id: SmolStr,
    /// The runtime's number of its current or last run, and of the one before.
    pub run: Option<u64>,
    pub previous: Option<u64>,
    pub started: bool,
    pub ready: bool,
    backoff: Duration,
    pub(super) pull_backoff: Duration,
    /// What the status says while a pull is tried again.
    pub(super) pull_message: String,
    retry_at: Instant,
    /// When the sync after a failure comes that shows the back-off.
    sync_at: Option<Instant>,
    liveness: Option<Probe>,
    readiness: Option<Probe>,
    startup: Option<Probe>,
    /// Being stopped; killed at that time.
    stopping: Option<Instant>,
    /// Why it is being stopped by the kubelet, for the restart.
    unhealthy: bool,
}

/// The worker. A clone shares its content.
#[derive(Clone, Debug)]
pub(crate) struct Worker {
    pod: Value,
    pub cause: Cause,
    /// When there is something to do without news.
    pub due: Option<Instant>,
    sandbox: Option<Sandbox>,
    sandbox_at: Option<Instant>,
    boxes: Vec<Box_>,
    volumes: OrdMap<SmolStr, Volume>,
    volumes_made: bool,
    volume_backoff: Duration,
    volumes_at: Instant,
    start: Option<Instant>,
    /// Grace ends then.
    stop_by: Option<Instant>,
    kill_sent: bool,
    removed: bool,
    written: Value,
    finish_at: Option<Instant>,
}

fn container(spec: &Value, init: bool) -> Box_ {
    Box_ {
        name: spec.get("name").smol(),
        sidecar: init && spec.get("restartPolicy").text() == "Always",
        spec: spec.clone(),
        init,
        state: State::Waiting("ContainerCreating".into(), String::new()),
        last: None,
        restarts: 0,
        id: SmolStr::default(),
        run: None,
        previous: None,
        started: false,
        ready: false,
        backoff: Duration::ZERO,
        pull_backoff: Duration::ZERO,
        pull_message: String::new(),
        retry_at: Instant::ZERO,
        sync_at: None,
        liveness: None,
        readiness: None,
        startup: None,
        stopping: None,
        unhealthy: false,
    }
}

impl Box_ {
    /// `spec.containers{main}`
    fn path(&self) -> String {
        let list = if self.init { "initContainers" } else { "containers" };
        format!("spec.{list}{{{}}}", self.name)
    }

    fn running(&self) -> bool {
        matches!(self.state, State::Running(_))
    }

    /// Whether it has done its part of the start: ended well, or a sidecar that has started.
    fn passed(&self) -> bool {
        if self.sidecar {
            self.started && self.running()
        } else {
            matches!(&self.state, State::Ended(e) if e.code == 0)
        }
    }

    fn image(&self) -> &str {
        self.spec.get("image").text()
    }

    fn probes(&self) -> impl Iterator<Item = &Probe> {
        [&self.startup, &self.liveness, &self.readiness].into_iter().flatten()
    }

    fn bump_pull_backoff(&mut self, now: Instant) {
        let b = self.pull_backoff;
        self.pull_backoff = if b.is_zero() { BACKOFF_MIN } else { (b * 2).min(BACKOFF_MAX) };
        self.retry_at = now + self.pull_backoff;
    }
}

impl Worker {
    pub(super) fn new(pod: &Value, cause: Cause, now: Instant) -> Worker {
        let spec = pod.get("spec");
        let init = spec.get("initContainers").items().map(|c| container(c, true));
        let mut boxes: Vec<Box_> = init.collect();
        let waits = !boxes.is_empty();
        boxes.extend(spec.get("containers").items().map(|c| container(c, false)));
        if waits {
            for b in &mut boxes {
                b.state = State::Waiting("PodInitializing".into(), String::new());
            }
        }
        Worker {
            pod: pod.clone(),
            cause,
            due: Some(now),
            sandbox: None,
            sandbox_at: None,
            boxes,
            volumes: OrdMap::new(),
            volumes_made: false,
            volume_backoff: Duration::from_millis(500),
            volumes_at: now,
            start: None,
            stop_by: None,
            kill_sent: false,
            removed: false,
            written: Value::Null,
            finish_at: None,
        }
    }

    pub(super) fn update(&mut self, pod: &Value, cause: Cause, now: Instant) {
        let touched = pod.get("spec") != self.pod.get("spec")
            || pod.get("metadata").get("deletionTimestamp")
                != self.pod.get("metadata").get("deletionTimestamp")
            || pod.labels() != self.pod.labels()
            || pod.annotations() != self.pod.annotations();
        for c in pod.at(&["spec", "containers"]).items() {
            if let Some(b) = self.boxes.iter_mut().find(|b| b.name == c.get("name").text()) {
                b.spec = c.clone();
            }
        }
        self.pod = pod.clone();
        if touched {
            self.cause = cause;
            self.due = Some(now);
        }
    }

    /// The pod was deleted from the API.
    pub(super) fn gone(&mut self, now: Instant) {
        self.removed = true;
        self.due = Some(now);
    }

    pub(super) fn owns(&self, n: Option<u64>, pid: Gpid) -> bool {
        self.boxes.iter().any(|b| (n.is_some() && b.run == n) || b.probes().any(|p| p.owns(pid)))
    }

    pub(super) fn probing(&self) -> bool {
        self.boxes.iter().any(|b| b.probes().any(Probe::busy))
    }

    pub(super) fn running(&self, name: &str) -> Option<u64> {
        let mut all = self.boxes.iter().filter(|b| b.running());
        match name {
            "" => all.find(|b| !b.init).and_then(|b| b.run),
            n => all.find(|b| b.name == n).and_then(|b| b.run),
        }
    }

    pub(super) fn log(&self, rt: &Runtime, name: &str, previous: bool) -> Option<Arc<Log>> {
        let b = self.boxes.iter().find(|b| if name.is_empty() { !b.init } else { b.name == name })?;
        let n = if previous { b.previous? } else { b.run? };
        rt.container(n).map(|c| c.log.clone())
    }

    pub(super) fn process_ended(&mut self, n: Option<u64>, e: Ended, now: Instant) {
        self.due = Some(now);
        for b in &mut self.boxes {
            for p in [&mut b.startup, &mut b.liveness, &mut b.readiness].into_iter().flatten() {
                if p.owns(e.pid) {
                    p.ended(&e);
                    return;
                }
            }
            if n.is_some() && b.run == n {
                let started = if let State::Running(t) = b.state { t } else { now };
                let code = exit_code(e.status);
                let reason = match (e.oom, code) {
                    (true, _) => "OOMKilled",
                    (_, 0) => "Completed",
                    _ => "Error",
                };
                b.state = State::Ended(End {
                    code,
                    reason: reason.into(),
                    message: String::new(),
                    started,
                    finished: now,
                    id: b.id.clone(),
                });
                (b.ready, b.started) = (false, false);
                b.stopping = None;
                if now.since(started) > BACKOFF_RESET {
                    b.backoff = Duration::ZERO;
                }
                return;
            }
        }
    }

    /// Everything is gone at once, as when power is cut.
    pub(super) fn abandon(mut self, rt: &mut Runtime, w: &mut Wires<'_>) {
        for b in &self.boxes {
            if let Some(n) = b.run {
                rt.signal(w, n, Signal::KILL);
                rt.remove(n);
            }
        }
        if let Some(s) = self.sandbox.take() {
            rt.remove_sandbox(w, &s);
        }
    }

    /// Moves the pod on as far as it goes now. False when nothing is left of it.
    pub(super) fn sync(&mut self, cx: &mut Cx<'_, '_>, rt: &mut Runtime) -> bool {
        let now = cx.now();
        self.due = None;
        if self.removed {
            return self.sweep(cx, rt);
        }
        if self.start.is_none() {
            self.start = Some(now);
        }
        if self.pod.is_terminating() {
            self.stop(cx, rt);
        } else if !self.finished() {
            self.advance(cx, rt);
        }
        self.report(cx);
        if self.pod.is_terminating() && self.all_ended() {
            return self.bury(cx, rt);
        }
        self.plan(now);
        true
    }

    /// Whether the pod has run to its end under its restart policy.
    fn finished(&self) -> bool {
        let phase = status::phase(&self.pod, &self.boxes);
        matches!(phase, "Succeeded" | "Failed")
    }

    fn all_ended(&self) -> bool {
        self.boxes.iter().all(|b| !b.running() || b.run.is_none())
    }

    fn advance(&mut self, cx: &mut Cx<'_, '_>, rt: &mut Runtime) {
        if !self.ready_volumes(cx, rt) || !self.ready_sandbox(cx, rt) {
            return;
        }
        self.refresh_volumes(cx, rt);
        let inits = self.boxes.iter().filter(|b| b.init).count();
        let done = self.boxes[..inits].iter().take_while(|b| b.passed()).count();
        // Once the main containers have begun, init containers are not run again.
        let begun = self.boxes[inits..].iter().any(|b| b.run.is_some());
        for i in 0..self.boxes.len() {
            let turn = if i < inits {
                i == done && !begun || self.boxes[i].sidecar && (i < done || begun)
            } else {
                done == inits || begun
            };
            if turn {
                if !begun
                    && i >= inits
                    && self.boxes[i].state == State::Waiting("PodInitializing".into(), String::new())
                {
                    self.boxes[i].state = State::Waiting("ContainerCreating".into(), String::new());
                }
                self.step(cx, rt, i);
            }
        }
        if done < inits && !begun && self.boxes[done].passed() {
            self.due = Some(cx.now());
        }
    }

    fn ready_volumes(&mut self, cx: &mut Cx<'_, '_>, rt: &mut Runtime) -> bool {
        if self.volumes_made {
            return true;
        }
        let now = cx.now();
        if self.volumes_at > now {
            return false;
        }
        let pod = self.pod.clone();
        match volumes::make(cx, rt, &pod, None) {
            Ok(v) => {
                self.volumes = v;
                self.volumes_made = true;
                self.volumes_at = now + VOLUME_PERIOD;
                true
            }
            Err((name, why)) => {
                let m = format!("MountVolume.SetUp failed for volume \"{name}\" : {why}");
                cx.event(&pod, "", "Warning", "FailedMount", &m);
                self.volumes_at = now + self.volume_backoff;
                self.volume_backoff = (self.volume_backoff * 2).min(Duration::from_secs(122));
                false
            }
        }
    }

    fn refresh_volumes(&mut self, cx: &mut Cx<'_, '_>, rt: &mut Runtime) {
        if self.volumes_at > cx.now() || self.sandbox.is_none() {
            return;
        }
        self.volumes_at = cx.now() + VOLUME_PERIOD;
        let pod = self.pod.clone();
        let ip = self.sandbox.as_ref().map(|s| s.ip);
        for v in pod.at(&["spec", "volumes"]).items().filter(|v| volumes::follows(v)) {
            if let (Some(volume), Ok(tree)) =
                (self.volumes.get(v.get("name").text()).copied(), volumes::tree(cx, &pod, v, ip))
            {
                rt.replace_volume(volume, tree);
            }
        }
    }

    fn ready_sandbox(&mut self, cx: &mut Cx<'_, '_>, rt: &mut Runtime) -> bool {
        if self.sandbox.is_some() {
            return true;
        }
        let now = cx.now();
        let at = match self.sandbox_at {
            Some(at) => at,
            None => {
                let at = now + cx.between(70, 140);
                self.sandbox_at = Some(at);
                at
            }
        };
        if at > now {
            self.due = Some(at);
            return false;
        }
        let spec = self.pod.get("spec");
        let host = spec.get("hostNetwork").is_true().then_some((cx.ns, cx.ip));
        let hostname = match spec.get("hostname").text() {
            "" => self.pod.name().chars().take(63).collect::<String>(),
            h => h.to_owned(),
        };
        let name = format!("{}_{}", self.pod.namespace(), self.pod.name());
        let unique = format!("{name}_{}", self.pod.uid().get(..8).unwrap_or(""));
        match rt.add_sandbox(cx.wires, &unique, &hostname, host, spec.get("shareProcessNamespace").is_true())
        {
            Ok(s) => {
                self.sandbox = Some(s);
                true
            }
            Err(why) => {
                let m = format!(
                    "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox: {why}"
                );
                let pod = self.pod.clone();
                cx.event(&pod, "", "Warning", "FailedCreatePodSandBox", &m);
                self.sandbox_at = Some(now + Duration::from_secs(10));
                self.due = self.sandbox_at;
                false
            }
        }
    }

    /// Moves one container on.
    fn step(&mut self, cx: &mut Cx<'_, '_>, rt: &mut Runtime, i: usize) {
        let now = cx.now();
        let state = self.boxes[i].state.clone();
        match state {
            State::Waiting(reason, _) if reason == "CrashLoopBackOff" => {
                let b = &mut self.boxes[i];
                if b.retry_at <= now
                    && let Some(end) = b.last.clone()
                {
                    b.backoff = (b.backoff * 2).min(BACKOFF_MAX);
                    self.run_again(cx, i, end);
                }
            }
            State::Waiting(..) if self.boxes[i].retry_at <= now => self.fetch(cx, i),
            State::Waiting(reason, _)
                if reason == "ErrImagePull" && self.boxes[i].sync_at.is_none_or(|t| t <= now) =>
            {
                self.boxes[i].sync_at = None;
                // The sync after the failure shows the back-off.
                let image = self.boxes[i].image().to_owned();
                let pod = self.pod.clone();
                let path = self.boxes[i].path();
                cx.event(&pod, &path, "Normal", "BackOff", &format!("Back-off pulling image \"{image}\""));
                cx.event(&pod, &path, "Warning", "Failed", "Error: ImagePullBackOff");
                let m = format!("Back-off pulling image \"{image}\": {}", self.boxes[i].last_pull_error());
                self.boxes[i].pull_message.clone_from(&m);
                self.boxes[i].state = State::Waiting("ImagePullBackOff".into(), m);
            }
            State::Waiting(..) => {}
            State::Pulling { until, since, check } if until <= now => self.pulled(cx, i, since, check),
            State::Creating(at) if at <= now => self.launch(cx, rt, i),
            State::Pulling { .. } | State::Creating(_) => {}
            State::Running(_) => self.watch_over(cx, rt, i),
            State::Ended(_) => self.maybe_restart(cx, i),
        }
    }

    fn fetch(&mut self, cx: &mut Cx<'_, '_>, i: usize) {
        let now = cx.now();
        let pod = self.pod.clone();
        let b = &mut self.boxes[i];
        let (image, path) = (b.image().to_owned(), b.path());
        let policy = b.spec.get("imagePullPolicy").text();
        if !images::is_valid(&image) {
            let m = format!(
                "Failed to apply default image tag \"{image}\": couldn't parse image name \"{image}\": invalid reference format"
            );
            cx.event(&pod, &path, "Warning", "InspectFailed", &m);
            cx.event(&pod, &path, "Warning", "Failed", "Error: InvalidImageName");
            b.state = State::Waiting("InvalidImageName".into(), m);
            b.retry_at = now + Duration::from_secs(12);
            return;
        }
        let present = cx.images.contains_key(image.as_str());
        match (policy, present) {
            ("Never", false) => {
                let m = format!("Container image \"{image}\" is not present with pull policy of Never");
                cx.event(&pod, &path, "Warning", "ErrImageNeverPull", &m);
                cx.event(&pod, &path, "Warning", "Failed", "Error: ErrImageNeverPull");
                b.state = State::Waiting("ErrImageNeverPull".into(), m);
                b.retry_at = now + Duration::from_secs(12);
            }
            ("Always", _) | (_, false) => {
                cx.event(&pod, &path, "Normal", "Pulling", &format!("Pulling image \"{image}\""));
                let took = match images::resolve(&image) {
                    Ok(_) if present => images::check_time(),
                    Ok(found) => images::pull_time(found.size_bytes),
                    Err(_) => Duration::from_millis(900),
                };
                let took = cx.client.chance.jitter(took, 30);
                self.boxes[i].state = State::Pulling { until: now + took, since: now, check: present };
            }
            _ => {
                let m = format!(
                    "Container image \"{image}\" already present on machine and can be accessed by the pod"
                );
                cx.event(&pod, &path, "Normal", "Pulled", &m);
                let at = now + cx.between(25, 60);
                self.boxes[i].state = State::Creating(at);
            }
        }
    }

    fn pulled(&mut self, cx: &mut Cx<'_, '_>, i: usize, since: Instant, _check: bool) {
        let now = cx.now();
        let pod = self.pod.clone();
        let (image, path) = (self.boxes[i].image().to_owned(), self.boxes[i].path());
        match images::resolve(&image) {
            Ok(found) => {
                cx.images.insert(image.as_str().into(), found.size_bytes as i64);
                let took = api::duration::print((now.since(since).as_millis() * 1_000_000) as i64);
                let m = format!(
                    "Successfully pulled image \"{image}\" in {took} ({took} including waiting). Image size: {} bytes.",
                    found.size_bytes
                );
                cx.event(&pod, &path, "Normal", "Pulled", &m);
                let at = now + cx.between(25, 60);
                self.boxes[i].state = State::Creating(at);
                self.boxes[i].pull_backoff = Duration::ZERO;
            }
            Err(why) => {
                cx.event(
                    &pod,
                    &path,
                    "Warning",
                    "Failed",
                    &format!("Failed to pull image \"{image}\": {why}"),
                );
                cx.event(&pod, &path, "Warning", "Failed", "Error: ErrImagePull");
                let b = &mut self.boxes[i];
                b.bump_pull_backoff(now);
                b.state = State::Waiting("ErrImagePull".into(), why);
                // Another sync soon turns it into ImagePullBackOff.
                let sync = now + cx.between(800, 1500);
                self.boxes[i].sync_at = Some(sync);
            }
        }
    }

    fn launch(&mut self, cx: &mut Cx<'_, '_>, rt: &mut Runtime, i: usize) {
        let now = cx.now();
        let pod = self.pod.clone();
        let Some(sandbox) = self.sandbox.clone() else { return };
        let path = self.boxes[i].path();
        let spec = match self.prepare(cx, &pod, i, &sandbox) {
            Ok(s) => s,
            Err(why) => {
                cx.event(&pod, &path, "Warning", "Failed", &format!("Error: {why}"));
                let b = &mut self.boxes[i];
                b.state = State::Waiting("CreateContainerConfigError".into(), why);
                let wait = Duration::from_secs(10);
                b.retry_at = now + cx.client.chance.jitter(wait, 50);
                return;
            }
        };
        let id: String = (0..4).map(|_| format!("{:016x}", cx.client.chance.bits())).collect();
        self.boxes[i].id = id.as_str().into();
        cx.event(&pod, &path, "Normal", "Created", "Container created");
        match rt.start(cx.wires, &sandbox, spec, &id) {
            Ok(n) => {
                cx.event(&pod, &path, "Normal", "Started", "Container started");
                let b = &mut self.boxes[i];
                if let Some(old) = b.previous.take() {
                    rt.remove(old);
                }
                b.previous = b.run.replace(n);
                b.state = State::Running(now);
                b.unhealthy = false;
                b.startup = Probe::new(b.spec.get("startupProbe"), now);
                b.liveness = Probe::new(b.spec.get("livenessProbe"), now);
                b.readiness = Probe::new(b.spec.get("readinessProbe"), now);
                b.started = b.startup.is_none();
                b.ready = b.readiness.is_none() && b.started && (!b.init || b.sidecar);
            }
            Err(why) => {
                cx.event(&pod, &path, "Warning", "Failed", &format!("Error: {why}"));
                let b = &mut self.boxes[i];
                b.state = State::Ended(End {
                    code: 128,
                    reason: "StartError".into(),
                    message: why,
                    started: Instant::ZERO,
                    finished: now,
                    id: b.id.clone(),
                });
            }
        }
    }

    fn prepare(
        &mut self,
        cx: &mut Cx<'_, '_>,
        pod: &Value,
        i: usize,
        s: &Sandbox,
    ) -> Result<ContainerSpec, String> {
        let spec = self.boxes[i].spec.clone();
        let image = images::resolve(self.boxes[i].image())?;
        let environment = env::container(cx, pod, &spec, image.env, &s.hostname, Some(s.ip))?;
        let words = |key: &str| -> Vec<String> {
            spec.get(key).items().map(|a| env::expand(a.text(), &environment)).collect()
        };
        let (command, args) = (words("command"), words("args"));
        let fixed = |a: &[&str]| a.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let mut argv = if command.is_empty() { fixed(image.entrypoint) } else { command.clone() };
        argv.extend(if args.is_empty() && command.is_empty() { fixed(image.cmd) } else { args });
        if argv.is_empty() {
            return Err("no command specified".into());
        }
        let security = |k: &str| {
            let own = spec.at(&["securityContext", k]);
            if own.is_some() { own.clone() } else { pod.at(&["spec", "securityContext", k]).clone() }
        };
        let uid = security("runAsUser").as_int().unwrap_or(images::uid(image));
        if security("runAsNonRoot").is_true() && uid == 0 {
            return Err("container has runAsNonRoot and image will run as root (pod: \"".to_owned()
                + &format!(
                    "{}_{}({})\", container: {})",
                    pod.name(),
                    pod.namespace(),
                    pod.uid(),
                    self.boxes[i].name
                ));
        }
        let mut cred = Cred::root();
        cred.uid = uid as u32;
        cred.gid = security("runAsGroup").as_int().unwrap_or(0) as u32;
        if uid != 0 {
            cred.caps = 0;
        }
        let mut root = image.tree(cx.client.api.settings.epoch.civil(cx.now()).unix());
        let dns = match pod.at(&["spec", "dnsPolicy"]).text() {
            "Default" => "nameserver 192.168.0.1\n".to_owned(),
            _ => format!(
                "search {}.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n",
                pod.namespace()
            ),
        };
        root.put_file("/etc/resolv.conf", 0o644, dns);
        root.put_file("/etc/hostname", 0o644, format!("{}\n", s.hostname));
        let mut hosts = format!(
            "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{}\t{}\n",
            s.ip, s.hostname
        );
        for a in pod.at(&["spec", "hostAliases"]).items() {
            let names: Vec<&str> = a.get("hostnames").items().map(Value::text).collect();
            hosts += &format!("{}\t{}\n", a.get("ip").text(), names.join("\t"));
        }
        root.put_file("/etc/hosts", 0o644, hosts);
        let mut mounts = Vec::new();
        for m in spec.get("volumeMounts").items() {
            if let Some(v) = self.volumes.get(m.get("name").text()) {
                mounts.push((m.get("mountPath").text().to_owned(), *v, m.get("readOnly").is_true()));
            }
        }
        let limit = spec.at(&["resources", "limits", "memory"]);
        Ok(ContainerSpec {
            name: self.boxes[i].name.clone(),
            root,
            argv,
            env: environment,
            cwd: match spec.get("workingDir").text() {
                "" => image.workdir.to_owned(),
                d => d.to_owned(),
            },
            cred,
            mounts,
            memory_bytes_max: if limit.is_some() {
                api::quantity::Quantity::or_zero(limit).value().max(0) as u64
            } else {
                0
            },
            tty: spec.get("tty").is_true(),
            stdin: spec.get("stdin").is_true(),
        })
    }

    /// Probes a running container and acts on what they say.
    fn watch_over(&mut self, cx: &mut Cx<'_, '_>, rt: &mut Runtime, i: usize) {
        let now = cx.now();
        let pod = self.pod.clone();
        let Some(ip) = self.sandbox.as_ref().map(|s| s.ip) else { return };
        let b = &mut self.boxes[i];
        let (Some(n), spec, path) = (b.run, b.spec.clone(), b.path()) else { return };
        if let Some(at) = b.stopping {
            if at <= now {
                rt.signal(cx.wires, n, Signal::KILL);
            }
            return;
        }
        let mut kill = false;
        let tell = |cx: &mut Cx<'_, '_>, kind: &str, a: &Attempt| {
            if !a.ok {
                cx.event(&pod, &path, "Warning", "Unhealthy", &format!("{kind} probe failed: {}", a.message));
            }
        };
        if !b.started
            && let Some(p) = &mut b.startup
        {
            if let Some(a) = p.step(cx, rt, &spec, n, ip) {
                tell(cx, "Startup", &a);
                kill |= a.tripped;
                b.started |= a.ok && p.result == Some(true);
            }
        } else {
            if let Some(p) = &mut b.readiness
                && let Some(a) = p.step(cx, rt, &spec, n, ip)
            {
                tell(cx, "Readiness", &a);
            }
            if let Some(p) = &mut b.liveness
                && let Some(a) = p.step(cx, rt, &spec, n, ip)
            {
                tell(cx, "Liveness", &a);
                kill |= a.tripped;
            }
        }
        b.ready = b.started
            && (!b.init || b.sidecar)
            && b.readiness.as_ref().is_none_or(|p| p.result == Some(true));
        if kill {
            let which = if b.started { "liveness" } else { "startup" };
            let m = format!("Container {} failed {which} probe, will be restarted", b.name);
            cx.event(&pod, &path, "Normal", "Killing", &m);
            rt.signal(cx.wires, n, Signal::TERM);
            let grace = pod.at(&["spec", "terminationGracePeriodSeconds"]).as_int().unwrap_or(30).max(1);
            b.stopping = Some(now + Duration::from_secs(grace as u64));
            b.unhealthy = true;
            b.ready = false;
        }
    }

    /// Restarts an ended container if its policy says so, with back-off.
    fn maybe_restart(&mut self, cx: &mut Cx<'_, '_>, i: usize) {
        let now = cx.now();
        let pod = self.pod.clone();
        let policy = pod.at(&["spec", "restartPolicy"]).text();
        let b = &mut self.boxes[i];
        let State::Ended(end) = b.state.clone() else { return };
        let again = match (policy, b.init, b.sidecar) {
            (_, _, true) => true,
            (_, true, _) if end.code == 0 => false,
            ("Never", ..) => false,
            ("OnFailure", ..) => end.code != 0,
            _ => true,
        };
        if !again {
            return;
        }
        if b.backoff.is_zero() {
            b.backoff = BACKOFF_MIN;
            self.run_again(cx, i, end);
            return;
        }
        let path = b.path();
        match b.sync_at {
            None => {
                let sync = b.backoff.min(Duration::from_secs(60));
                b.retry_at = end.finished + b.backoff;
                b.sync_at = Some(now + cx.client.chance.jitter(sync, 50));
                let m = format!(
                    "Back-off restarting failed container {} in pod {}_{}({})",
                    b.name,
                    pod.name(),
                    pod.namespace(),
                    pod.uid()
                );
                cx.event(&pod, &path, "Warning", "BackOff", &m);
            }
            Some(t) if t <= now => {
                // Only this sync shows the back-off, a moment before its end if that has come.
                let m = format!(
                    "back-off {} restarting failed container={} pod={}_{}({})",
                    api::duration::print(b.backoff.as_nanos() as i64),
                    b.name,
                    pod.name(),
                    pod.namespace(),
                    pod.uid()
                );
                b.retry_at = b.retry_at.max(now + cx.between(150, 600));
                let b = &mut self.boxes[i];
                b.last = Some(end);
                b.state = State::Waiting("CrashLoopBackOff".into(), m);
            }
            Some(_) => {}
        }
    }

    /// Starts an ended container anew.
    fn run_again(&mut self, cx: &mut Cx<'_, '_>, i: usize, end: End) {
        let b = &mut self.boxes[i];
        b.last = Some(end);
        b.restarts += 1;
        b.sync_at = None;
        self.fetch(cx, i);
    }

    /// Stops what runs: TERM, grace, KILL.
    fn stop(&mut self, cx: &mut Cx<'_, '_>, rt: &mut Runtime) {
        let now = cx.now();
        let grace = self.pod.at(&["metadata", "deletionGracePeriodSeconds"]).as_int().unwrap_or(30);
        let pod = self.pod.clone();
        if self.stop_by.is_none() {
            for b in self.boxes.iter().filter(|b| b.running()) {
                cx.event(&pod, &b.path(), "Normal", "Killing", &format!("Stopping container {}", b.name));
            }
            // Even without grace the kubelet gives two seconds.
            self.stop_by = Some(now + Duration::from_secs(grace.max(2) as u64));
        }
        let by = now + Duration::from_secs(grace.max(2) as u64);
        self.stop_by = self.stop_by.map(|t| t.min(by));
        let late = self.stop_by.is_some_and(|t| t <= now);
        let mains = self.boxes.iter().any(|b| b.running() && !b.sidecar);
        for b in &mut self.boxes {
            for p in [&mut b.startup, &mut b.liveness].into_iter().flatten() {
                p.finish(cx, rt);
            }
            if !b.running() {
                continue;
            }
            let Some(n) = b.run else { continue };
            if late {
                rt.signal(cx.wires, n, Signal::KILL);
            } else if b.stopping.is_none() && !(b.sidecar && mains) {
                b.stopping = self.stop_by;
                rt.signal(cx.wires, n, Signal::TERM);
            }
        }
        self.kill_sent |= late;
    }

    /// All containers have ended: the last status is written, then the object may go.
    fn bury(&mut self, cx: &mut Cx<'_, '_>, rt: &mut Runtime) -> bool {
        let now = cx.now();
        let at = match self.finish_at {
            Some(at) => at,
            None => {
                let at = now + cx.between(120, 400);
                self.finish_at = Some(at);
                at
            }
        };
        if at > now {
            self.due = Some(at);
            return true;
        }
        let (ns, name) = (self.pod.namespace().to_owned(), self.pod.name().to_owned());
        let options = obj!({"gracePeriodSeconds": 0, "preconditions": {"uid": self.pod.uid()}});
        let _ = cx.client.delete(cx.ids.pods, &ns, &name, options);
        self.sweep(cx, rt)
    }

    /// Removes everything that is left on the node. Gives false: the worker may go.
    fn sweep(&mut self, cx: &mut Cx<'_, '_>, rt: &mut Runtime) -> bool {
        for b in &mut self.boxes {
            for p in [&mut b.startup, &mut b.liveness, &mut b.readiness].into_iter().flatten() {
                p.finish(cx, rt);
            }
            for n in [b.run.take(), b.previous.take()].into_iter().flatten() {
                rt.signal(cx.wires, n, Signal::KILL);
                rt.remove(n);
            }
        }
        if let Some(s) = self.sandbox.take() {
            rt.remove_sandbox(cx.wires, &s);
        }
        let claims: Vec<SmolStr> = self
            .pod
            .at(&["spec", "volumes"])
            .items()
            .filter(|v| v.get("persistentVolumeClaim").is_some())
            .map(|v| v.get("name").smol())
            .collect();
        for (name, v) in core::mem::take(&mut self.volumes) {
            if !claims.contains(&name) {
                rt.remove_volume(v);
            }
        }
        false
    }

    /// Writes the status if it differs from what was written last.
    fn report(&mut self, cx: &mut Cx<'_, '_>) {
        let epoch = cx.client.api.settings.epoch;
        let ip = self.sandbox.as_ref().map(|s| s.ip);
        let s = status::build(
            &self.pod,
            &self.boxes,
            self.sandbox.is_some(),
            ip,
            cx.ip,
            self.start,
            epoch,
            &self.written,
            cx.now(),
        );
        if s == self.written {
            return;
        }
        let (ns, name) = (self.pod.namespace().to_owned(), self.pod.name().to_owned());
        let patch = obj!({"metadata": {"uid": self.pod.uid()}, "status": &s});
        let res = cx.ids.pods;
        if cx.client.patch(res, "status", &ns, &name, apiserver::Patch::Strategic, patch).is_ok() {
            self.written = s;
        }
    }

    /// Sets the time of the next sync.
    fn plan(&mut self, now: Instant) {
        let mut next = self.due;
        let mut sooner = |t: Instant| next = Some(next.map_or(t, |n: Instant| n.min(t)));
        if self.pod.is_terminating() {
            if let Some(t) = self.stop_by.filter(|_| !self.kill_sent && !self.all_ended()) {
                sooner(t);
            }
        } else if !self.finished() {
            if !self.volumes_made || !self.volumes.is_empty() {
                sooner(self.volumes_at.max(now + Duration::from_millis(1)));
            }
            for b in &self.boxes {
                match &b.state {
                    State::Waiting(..) => {
                        for t in b.sync_at.into_iter().chain([b.retry_at]).filter(|t| *t > now) {
                            sooner(t);
                        }
                    }
                    State::Pulling { until, .. } => sooner(*until),
                    State::Creating(at) => sooner(*at),
                    State::Running(_) => {
                        b.probes().for_each(|p| sooner(p.due()));
                        if let Some(t) = b.stopping.filter(|t| *t > now) {
                            sooner(t);
                        }
                    }
                    State::Ended(_) => {
                        if let Some(t) = b.sync_at.filter(|t| *t > now) {
                            sooner(t);
                        }
                    }
                }
            }
        }
        self.due = next;
    }
}

impl Box_ {
    fn last_pull_error(&self) -> String {
        match &self.state {
            State::Waiting(_, m) => format!("ErrImagePull: {m}"),
            _ => String::new(),
        }
    }
}
