//! A pod's end: signals, grace, what is swept up, what is reported last.

use super::Worker;
use crate::kubelet::Cx;
use crate::kubelet::probe::Probe;
use crate::runtime::{Runtime, Wires};
use api::{SmolStr, obj};
use shell::Signal;
use sim::{Duration, Instant};

impl Worker {
    /// Stops what runs: hook, TERM, grace, KILL. `grace` names where the pod's metadata has the seconds, "" for its spec.
    pub(super) fn stop(&mut self, cx: &mut Cx<'_, '_>, rt: &mut Runtime, grace: &str) {
        let now = cx.now();
        let usual = self.pod.at(&["spec", "terminationGracePeriodSeconds"]).as_int().unwrap_or(30);
        let grace = self.pod.at(&["metadata", grace]).as_int().unwrap_or(usual);
        let pod = self.pod.clone();
        if self.stop_by.is_none() {
            for b in self.boxes.iter().filter(|b| b.running() && b.stopping.is_none()) {
                cx.event(&pod, &b.path(), "Normal", "Killing", &format!("Stopping container {}", b.name));
            }
        }
        // Even without grace the kubelet gives two seconds.
        let by = now + Duration::from_secs(grace.max(2) as u64);
        let by = self.stop_by.map_or(by, |t| t.min(by));
        self.stop_by = Some(by);
        let mains = self.boxes.iter().any(|b| b.running() && !b.sidecar);
        for i in 0..self.boxes.len() {
            let b = &mut self.boxes[i];
            for p in [&mut b.startup, &mut b.liveness].into_iter().flatten() {
                p.finish(cx, rt);
            }
            if !b.running() || (b.sidecar && mains && by > now) {
                continue;
            }
            match b.stopping {
                // A deletion may shorten the grace of a stop that is under way.
                Some(t) => b.stopping = Some(if b.last_call { t } else { t.min(by) }),
                None => self.end(cx, rt, i, by),
            }
            self.drive(cx, rt, i);
        }
    }

    /// Begins to stop a container: its hook first, if it has one.
    pub(super) fn end(&mut self, cx: &mut Cx<'_, '_>, rt: &mut Runtime, i: usize, by: Instant) {
        let now = cx.now();
        let b = &mut self.boxes[i];
        if let Some(mut p) = b.hook.take() {
            p.finish(cx, rt);
        }
        b.stopping = Some(by);
        b.last_call = false;
        b.hook = Probe::hook(b.spec.at(&["lifecycle", "preStop"]), now, by.since(now));
        if let (None, Some(n)) = (&b.hook, b.run) {
            rt.signal(cx.wires, n, Signal::TERM);
        }
    }

    /// Moves the stop of a container on.
    pub(super) fn drive(&mut self, cx: &mut Cx<'_, '_>, rt: &mut Runtime, i: usize) {
        let now = cx.now();
        let pod = self.pod.clone();
        let ip = self.sandbox.as_ref().map(|s| s.ip);
        let b = &mut self.boxes[i];
        let (Some(by), Some(n), spec, path) = (b.stopping, b.run, b.spec.clone(), b.path()) else { return };
        let late = by <= now;
        if let Some(mut p) = b.hook.take() {
            let outcome = ip.and_then(|ip| p.step(cx, rt, &spec, n, ip));
            if outcome.is_none() && !late {
                b.hook = Some(p);
                return;
            }
            p.finish(cx, rt);
            if outcome.is_none_or(|a| !a.ok) {
                cx.event(&pod, &path, "Warning", "FailedPreStopHook", "PreStopHook failed");
            }
            rt.signal(cx.wires, n, Signal::TERM);
            if late {
                // A hook that used up the grace leaves the container two seconds.
                b.stopping = Some(now + Duration::from_secs(2));
                b.last_call = true;
            }
        } else if late {
            rt.signal(cx.wires, n, Signal::KILL);
        }
    }

    /// All containers have ended: the last status is written, then the object may go.
    pub(super) fn bury(&mut self, cx: &mut Cx<'_, '_>, rt: &mut Runtime) -> bool {
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
    pub(super) fn sweep(&mut self, cx: &mut Cx<'_, '_>, rt: &mut Runtime) -> bool {
        for b in &mut self.boxes {
            for p in [&mut b.startup, &mut b.liveness, &mut b.readiness, &mut b.hook].into_iter().flatten() {
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

    /// Everything is gone at once, as when power is cut.
    pub(in crate::kubelet) fn abandon(mut self, rt: &mut Runtime, w: &mut Wires<'_>) {
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
}
