//! Moving replicas between ReplicaSets.

use super::{Deployments, Plan, replicas, status};
use crate::runtime::{Turn, int_or_percent};
use api::Value;
use apiserver::Status;

/// Pods above the wanted number that may exist. Models: `MaxSurge`.
pub(super) fn max_surge(d: &Value) -> i64 {
    fenceposts(d).0
}

/// Pods below the wanted number that may lack. Models: `MaxUnavailable`.
pub(super) fn max_unavailable(d: &Value) -> i64 {
    let n = replicas(d);
    if n == 0 { 0 } else { fenceposts(d).1.min(n) }
}

/// Models: `ResolveFenceposts`: surge rounds up, unavailable down, and not both are zero.
fn fenceposts(d: &Value) -> (i64, i64) {
    if d.at(&["spec", "strategy", "type"]).text() != "RollingUpdate" {
        return (0, 0);
    }
    let r = d.at(&["spec", "strategy", "rollingUpdate"]);
    let surge = int_or_percent(r.get("maxSurge"), replicas(d), true);
    let unavailable = int_or_percent(r.get("maxUnavailable"), replicas(d), false);
    if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable) }
}

fn available(sets: &[Value]) -> i64 {
    sets.iter().map(|s| s.at(&["status", "availableReplicas"]).int()).sum()
}

fn total(sets: &[Value]) -> i64 {
    sets.iter().map(replicas).sum()
}

/// How many replicas the new set gets in the next step. Models: `NewRSNewReplicas`.
pub(super) fn new_size(d: &Value, all: &[Value], current: i64) -> i64 {
    if d.at(&["spec", "strategy", "type"]).text() == "Recreate" {
        return replicas(d);
    }
    let room = replicas(d) + max_surge(d) - total(all);
    if room <= 0 { current } else { current + room.min(replicas(d) - current) }
}

impl Deployments {
    /// One step of a rolling update. Models: `rolloutRolling`.
    pub(super) fn roll(&self, turn: &mut Turn<'_>, plan: &mut Plan) -> Result<(), Status> {
        self.find_sets(turn, plan, true)?;
        if !self.grow_new(turn, plan)?
            && !self.shrink_old(turn, plan)?
            && status::complete(&plan.d, plan.d.get("status"))
        {
            self.clean_up(turn, plan)?;
        }
        self.sync_rollout_status(turn, plan)
    }

    fn grow_new(&self, turn: &mut Turn<'_>, plan: &mut Plan) -> Result<bool, Status> {
        let (want, have) = (replicas(&plan.d), replicas(&plan.new));
        let size = match have.cmp(&want) {
            core::cmp::Ordering::Equal => return Ok(false),
            core::cmp::Ordering::Greater => want,
            core::cmp::Ordering::Less => new_size(&plan.d, &plan.all(), have),
        };
        if size == have {
            return Ok(false);
        }
        plan.new = self.scale(turn, &plan.d, &plan.new.clone(), size)?;
        Ok(true)
    }

    fn shrink_old(&self, turn: &mut Turn<'_>, plan: &mut Plan) -> Result<bool, Status> {
        if total(&plan.old) == 0 {
            return Ok(false);
        }
        let all = plan.all();
        let min_available = replicas(&plan.d) - max_unavailable(&plan.d);
        let new_unavailable = replicas(&plan.new) - plan.new.at(&["status", "availableReplicas"]).int();
        let max_down = total(&all) - min_available - new_unavailable;
        if max_down <= 0 {
            return Ok(false);
        }
        plan.old.sort_by(by_creation);
        let mut cleaned = 0;
        for i in 0..plan.old.len() {
            // Unhealthy replicas go first: they cost no availability.
            let s = plan.old[i].clone();
            let unhealthy = replicas(&s) - s.at(&["status", "availableReplicas"]).int();
            if replicas(&s) == 0 || unhealthy <= 0 || cleaned >= max_down {
                continue;
            }
            let down = unhealthy.min(max_down - cleaned);
            plan.old[i] = self.scale(turn, &plan.d, &s, replicas(&s) - down)?;
            cleaned += down;
        }
        let mut down = 0;
        let spare = available(&plan.all()) - min_available;
        for i in 0..plan.old.len() {
            let s = plan.old[i].clone();
            if down >= spare || replicas(&s) == 0 {
                continue;
            }
            let n = replicas(&s).min(spare - down);
            plan.old[i] = self.scale(turn, &plan.d, &s, replicas(&s) - n)?;
            down += n;
        }
        Ok(cleaned + down > 0)
    }

    /// Whether the number of replicas changed since the sets were last scaled. Models: `isScalingEvent`.
    pub(super) fn is_scaling_event(&self, turn: &mut Turn<'_>, plan: &mut Plan) -> Result<bool, Status> {
        self.find_sets(turn, plan, false)?;
        Ok(plan.all().iter().any(|s| {
            let desired =
                s.annotations().get("deployment.kubernetes.io/desired-replicas").text().parse::<i64>();
            replicas(s) > 0 && desired.is_ok_and(|n| n != replicas(&plan.d))
        }))
    }

    /// Spreads a changed number of replicas over the sets. Models: `scale` of the deployment controller.
    pub(super) fn spread(&self, turn: &mut Turn<'_>, plan: &mut Plan) -> Result<(), Status> {
        let want = replicas(&plan.d);
        let active: Vec<Value> = plan.all().into_iter().filter(|s| replicas(s) > 0).collect();
        let single = match active.as_slice() {
            [] if plan.new.is_some() => Some(plan.new.clone()),
            [] => plan.old.iter().max_by(|a, b| by_creation(a, b)).cloned(),
            [one] => Some(one.clone()),
            _ => None,
        };
        if let Some(s) = single {
            if replicas(&s) != want {
                let scaled = self.scale(turn, &plan.d, &s, want)?;
                put(plan, scaled);
            }
            return Ok(());
        }
        let saturated = plan.new.is_some()
            && replicas(&plan.new) == want
            && plan.new.annotations().get("deployment.kubernetes.io/desired-replicas").text()
                == want.to_string()
            && plan.new.at(&["status", "availableReplicas"]).int() == want;
        if saturated {
            for s in plan.old.clone() {
                if replicas(&s) > 0 {
                    let scaled = self.scale(turn, &plan.d, &s, 0)?;
                    put(plan, scaled);
                }
            }
            return Ok(());
        }
        if plan.d.at(&["spec", "strategy", "type"]).text() != "RollingUpdate" {
            return Ok(());
        }
        self.spread_proportionally(turn, plan, active)
    }

    fn spread_proportionally(
        &self,
        turn: &mut Turn<'_>,
        plan: &mut Plan,
        mut active: Vec<Value>,
    ) -> Result<(), Status> {
        let want = replicas(&plan.d);
        let allowed = if want > 0 { want + max_surge(&plan.d) } else { 0 };
        let mut add = allowed - total(&active);
        let up = add > 0;
        active.sort_by(|a, b| {
            replicas(b).cmp(&replicas(a)).then_with(|| if up { by_creation(b, a) } else { by_creation(a, b) })
        });
        let mut sizes: Vec<i64> = Vec::new();
        let to_add = add;
        for s in &active {
            let mut size = replicas(s);
            if to_add != 0 {
                let annotated = s
                    .annotations()
                    .get("deployment.kubernetes.io/max-replicas")
                    .text()
                    .parse::<i64>()
                    .unwrap_or(0);
                let before =
                    if annotated == 0 { plan.d.at(&["status", "replicas"]).int() } else { annotated };
                let ideal = if want == 0 {
                    -size
                } else if before == 0 {
                    0
                } else {
                    // Rounded half away from zero.
                    let n = size * allowed;
                    (2 * n + before).div_euclid(2 * before) - size
                };
                let bounded = if up { ideal.min(add) } else { ideal.max(add) };
                size += bounded;
                add -= bounded;
            }
            sizes.push(size);
        }
        if let Some(first) = sizes.first_mut() {
            // What rounding left over goes to the largest.
            *first = (*first + add).max(0);
        }
        for (s, size) in active.iter().zip(sizes) {
            let scaled = self.scale(turn, &plan.d, s, size)?;
            put(plan, scaled);
        }
        Ok(())
    }
}

pub(super) fn by_creation(a: &Value, b: &Value) -> core::cmp::Ordering {
    let time = |v: &Value| v.at(&["metadata", "creationTimestamp"]).text().to_owned();
    time(a).cmp(&time(b)).then_with(|| a.name().cmp(b.name()))
}

fn put(plan: &mut Plan, s: Value) {
    if plan.new.uid() == s.uid() {
        plan.new = s;
    } else if let Some(o) = plan.old.iter_mut().find(|o| o.uid() == s.uid()) {
        *o = s;
    }
}

#[cfg(test)]
#[test]
fn fenceposts_round_as_upstream() {
    use api::obj;
    let d = |n: i64, surge: Value, unavailable: Value| obj!({"spec": {"replicas": n, "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}}});
    assert_eq!(fenceposts(&d(3, "25%".into(), "25%".into())), (1, 0));
    assert_eq!(fenceposts(&d(10, "25%".into(), "25%".into())), (3, 2));
    assert_eq!(fenceposts(&d(4, 0.into(), 0.into())), (0, 1));
}
