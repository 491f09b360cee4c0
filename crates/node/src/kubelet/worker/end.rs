//! A pod's end: signals, grace, what is swept up, what is reported last.

use super::Worker;
use crate::kubelet::Cx;
use crate::runtime::{Runtime, Wires};
use api::{SmolStr, obj};
use shell::Signal;
use sim::Duration;

impl Worker {
    /// Stops what runs: TERM, grace, KILL.
    pub(super) fn stop(&mut self, cx: &mut Cx<'_, '_>, rt: &mut Runtime) {
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
