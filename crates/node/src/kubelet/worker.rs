//! One pod's worker: from admission to the last container's end.

mod container;
mod end;

use super::probe::Probe;
use super::{Cx, status, volumes};
use crate::runtime::{Log, Runtime, Sandbox, Volume, exit_code};
use api::{SmolStr, Value, obj};
use shell::kernel::{Ended, Gpid};
use sim::persistent::OrdMap;
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
    Pulling { until: Instant, since: Instant },
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
    /// The lifecycle hook under way: before the stop if it is being stopped, else after the start.
    hook: Option<Probe>,
    /// It ended by itself, which the kubelet sees at that time.
    unseen: Option<(Instant, End)>,
    /// Its hook used up the grace: what is left is not shortened any more.
    last_call: bool,
    /// Why the hook after its start failed, until it starts well.
    pub(super) post_error: String,
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
    removed: bool,
    written: Value,
    finish_at: Option<Instant>,
    /// Its active deadline has passed; and that was said once more when all had ended.
    overdue: bool,
    overdue_told: bool,
}

/// When the kubelet lists its containers the next time. Models: the relisting of PLEG, once a second.
fn next_relist(now: Instant) -> Instant {
    const SECOND: u64 = 1_000_000_000;
    now + Duration::from_nanos(SECOND - now.nanos() % SECOND)
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
        hook: None,
        last_call: false,
        unseen: None,
        post_error: String::new(),
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
        [&self.startup, &self.liveness, &self.readiness, &self.hook].into_iter().flatten()
    }

    /// The probes that are made now: none while it is being stopped, the startup probe alone until it has started.
    fn active(&self) -> impl Iterator<Item = &Probe> {
        let starting = !self.started && self.startup.is_some();
        let all = match (self.stopping.is_some(), starting) {
            (true, _) => [None, None],
            (_, true) => [self.startup.as_ref(), None],
            _ => [self.liveness.as_ref(), self.readiness.as_ref()],
        };
        all.into_iter().flatten()
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
            removed: false,
            written: Value::Null,
            finish_at: None,
            overdue: false,
            overdue_told: false,
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

    /// The network namespace of the sandbox.
    pub(super) fn network(&self) -> Option<net::NsId> {
        self.sandbox.as_ref().map(|s| s.ns)
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
            for p in [&mut b.startup, &mut b.liveness, &mut b.readiness, &mut b.hook].into_iter().flatten() {
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
                let end = End {
                    code,
                    reason: reason.into(),
                    message: String::new(),
                    started,
                    finished: now,
                    id: b.id.clone(),
                };
                // What the kubelet stops it waits for; the rest it finds when it lists containers the next time.
                let at = if b.stopping.is_some() { now } else { next_relist(now) };
                b.unseen = Some((at, end));
                if now.since(started) > BACKOFF_RESET {
                    b.backoff = Duration::ZERO;
                }
                return;
            }
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
        let going = self.pod.is_terminating();
        for b in &mut self.boxes {
            if let Some((_, end)) = b.unseen.take_if(|(at, _)| going || *at <= now) {
                b.state = State::Ended(end);
                (b.ready, b.started) = (false, false);
                b.stopping = None;
            }
        }
        // A hook ends with its container.
        for b in self.boxes.iter_mut().filter(|b| !b.running()) {
            if let Some(mut p) = b.hook.take() {
                p.finish(cx, rt);
            }
        }
        self.check_deadline(cx);
        if self.pod.is_terminating() {
            self.stop(cx, rt, "deletionGracePeriodSeconds");
        } else if self.finished() {
            // Sidecars go with the main containers.
            if self.boxes.iter().any(Box_::running) {
                self.stop(cx, rt, "");
            }
        } else {
            self.advance(cx, rt);
        }
        self.report(cx);
        if self.pod.is_terminating() && self.all_ended() {
            return self.bury(cx, rt);
        }
        self.plan(now);
        true
    }

    /// When the pod has been active for as long as it may.
    fn deadline(&self) -> Option<Instant> {
        let s = self.pod.at(&["spec", "activeDeadlineSeconds"]).as_int()?;
        Some(self.start? + Duration::from_secs(s.max(0) as u64))
    }

    /// Notes that the pod was active too long. Models: the active deadline handler.
    fn check_deadline(&mut self, cx: &mut Cx<'_, '_>) {
        let running = self.boxes.iter().any(Box_::running);
        let over = self.deadline().is_some_and(|t| t <= cx.now());
        // Said with each sync: two when the deadline comes, two when all has ended.
        let tell = if self.overdue { !running && !self.overdue_told } else { over && !self.finished() };
        if tell {
            self.overdue_told = self.overdue;
            self.overdue = true;
            let pod = self.pod.clone();
            for _ in 0..2 {
                cx.event(&pod, "", "Normal", "DeadlineExceeded", status::OVERDUE);
            }
        }
    }

    /// Whether the pod has run to its end under its restart policy.
    fn finished(&self) -> bool {
        if self.overdue {
            return true;
        }
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
            // What follows waits for the hook after this one's start.
            if self.boxes[i].hook.is_some() && self.boxes[i].stopping.is_none() {
                break;
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

    /// Writes the status if it differs from what was written last.
    fn report(&mut self, cx: &mut Cx<'_, '_>) {
        // A hook after a start keeps the kubelet from the pod until it has ended.
        if self.boxes.iter().any(|b| b.hook.is_some() && b.stopping.is_none()) {
            return;
        }
        let epoch = cx.client.api.settings.epoch;
        let ip = self.sandbox.as_ref().map(|s| s.ip);
        let s = status::build(
            &self.pod,
            &self.boxes,
            self.sandbox.is_some(),
            self.overdue,
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
        // What this sync could not do waits a little, or the clock would never move on.
        let soon = now + Duration::from_millis(1);
        let mut sooner = |t: Instant| next = Some(next.map_or(t.max(soon), |n: Instant| n.min(t.max(soon))));
        for b in self.boxes.iter().filter(|b| b.running()) {
            b.unseen.iter().for_each(|(at, _)| sooner(*at));
            b.stopping.filter(|t| *t > now).into_iter().for_each(&mut sooner);
            b.hook.iter().for_each(|p| sooner(p.due()));
        }
        if !self.pod.is_terminating() && !self.finished() {
            self.deadline().into_iter().for_each(&mut sooner);
            if !self.volumes_made || !self.volumes.is_empty() {
                sooner(self.volumes_at);
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
                        b.active().for_each(|p| sooner(p.due()));
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
