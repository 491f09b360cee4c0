//! One container of a pod: pull, start, watch over, restart with back-off.

use super::{BACKOFF_MAX, BACKOFF_MIN, Box_, End, State, Worker};
use crate::kubelet::probe::{Attempt, Probe};
use crate::kubelet::{Cx, env, images};
use crate::runtime::{ContainerSpec, Runtime, Sandbox};
use api::Value;
use shell::fs::Cred;
use sim::{Duration, Instant};

/// Nothing bounds a hook after a start but the pod's end.
const HOOK_MAX: Duration = Duration::from_secs(86_400);

impl Worker {
    /// Moves one container on.
    pub(super) fn step(&mut self, cx: &mut Cx<'_, '_>, rt: &mut Runtime, i: usize) {
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
            State::Pulling { until, since } if until <= now => self.pulled(cx, i, since),
            State::Creating(at) if at <= now => self.launch(cx, rt, i),
            State::Pulling { .. } | State::Creating(_) => {}
            State::Running(_) if self.boxes[i].unseen.is_some() => {}
            State::Running(_) => self.watch_over(cx, rt, i),
            State::Ended(_) => self.maybe_restart(cx, i),
        }
    }

    pub(super) fn fetch(&mut self, cx: &mut Cx<'_, '_>, i: usize) {
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
                self.boxes[i].state = State::Pulling { until: now + took, since: now };
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

    pub(super) fn pulled(&mut self, cx: &mut Cx<'_, '_>, i: usize, since: Instant) {
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

    pub(super) fn launch(&mut self, cx: &mut Cx<'_, '_>, rt: &mut Runtime, i: usize) {
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
                b.hook = Probe::hook(b.spec.at(&["lifecycle", "postStart"]), now, HOOK_MAX);
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

    pub(super) fn prepare(
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
    pub(super) fn watch_over(&mut self, cx: &mut Cx<'_, '_>, rt: &mut Runtime, i: usize) {
        let now = cx.now();
        let pod = self.pod.clone();
        let Some(ip) = self.sandbox.as_ref().map(|s| s.ip) else { return };
        let b = &mut self.boxes[i];
        let (Some(n), spec, path) = (b.run, b.spec.clone(), b.path()) else { return };
        if b.stopping.is_some() {
            self.drive(cx, rt, i);
            return;
        }
        if let Some(mut p) = b.hook.take() {
            match p.step(cx, rt, &spec, n, ip) {
                None => b.hook = Some(p),
                Some(a) if a.ok => b.post_error.clear(),
                Some(a) => self.fail_start(cx, rt, i, &a.message),
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
            b.unhealthy = true;
            b.ready = false;
            self.end(cx, rt, i, now + self.grace());
        }
    }

    fn grace(&self) -> Duration {
        let s = self.pod.at(&["spec", "terminationGracePeriodSeconds"]).as_int().unwrap_or(30);
        Duration::from_secs(s.max(1) as u64)
    }

    /// The hook after a container's start failed: it is stopped.
    fn fail_start(&mut self, cx: &mut Cx<'_, '_>, rt: &mut Runtime, i: usize, why: &str) {
        let pod = self.pod.clone();
        let b = &mut self.boxes[i];
        let hook = b.spec.at(&["lifecycle", "postStart"]);
        let what = match hook.at(&["httpGet", "path"]).as_str() {
            Some(path) => format!("HTTP lifecycle hook ({path})"),
            None => {
                let words: Vec<&str> = hook.at(&["exec", "command"]).items().map(Value::text).collect();
                format!("Exec lifecycle hook ([{}])", words.join(" "))
            }
        };
        b.post_error = format!(
            "{what} for Container \"{}\" in Pod \"{}_{}({})\" failed - error: {why}",
            b.name,
            pod.name(),
            pod.namespace(),
            pod.uid()
        );
        b.ready = false;
        let path = b.path();
        cx.event(&pod, &path, "Warning", "FailedPostStartHook", "PostStartHook failed");
        cx.event(&pod, &path, "Normal", "Killing", "FailedPostStartHook");
        let by = cx.now() + self.grace();
        self.end(cx, rt, i, by);
    }

    /// Restarts an ended container if its policy says so, with back-off.
    pub(super) fn maybe_restart(&mut self, cx: &mut Cx<'_, '_>, i: usize) {
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
                let m = format!("Back-off restarting failed container {}", whose(b, &pod));
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
                if b.retry_at > now {
                    let m = format!("Back-off restarting failed container {}", whose(b, &pod));
                    cx.event(&pod, &path, "Warning", "BackOff", &m);
                }
                let b = &mut self.boxes[i];
                b.retry_at = b.retry_at.max(now + cx.between(150, 600));
                let b = &mut self.boxes[i];
                b.last = Some(end);
                b.state = State::Waiting("CrashLoopBackOff".into(), m);
            }
            Some(_) => {}
        }
    }

    /// Starts an ended container anew.
    pub(super) fn run_again(&mut self, cx: &mut Cx<'_, '_>, i: usize, end: End) {
        let b = &mut self.boxes[i];
        b.last = Some(end);
        b.restarts += 1;
        b.sync_at = None;
        self.fetch(cx, i);
    }
}

/// `main in pod p_ns(uid)`
fn whose(b: &Box_, pod: &Value) -> String {
    format!("{} in pod {}_{}({})", b.name, pod.name(), pod.namespace(), pod.uid())
}

impl Box_ {
    pub(super) fn last_pull_error(&self) -> String {
        match &self.state {
            State::Waiting(_, m) => format!("ErrImagePull: {m}"),
            _ => String::new(),
        }
    }
}
