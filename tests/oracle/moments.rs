//! When the commands of a recording ran, as far as it shows: objects have their time of creation, tables their age.
//!
//! Recordings waited unseen between some commands, and CronJobs go by the clock: both are inputs of a case.

use super::Entry;
use sim::Civil;
use std::collections::BTreeMap;

/// When each command ran at the earliest, in seconds of Unix time; `None` where nothing shows it.
pub fn of(entries: &[Entry]) -> Vec<Option<i64>> {
    let mut created: BTreeMap<String, Option<i64>> = BTreeMap::new();
    for e in entries {
        if !e.output.starts_with("apiVersion:") {
            continue;
        }
        for v in api::yaml::parse_all(&e.output).0 {
            let list: Vec<api::Value> = v.get("items").items().cloned().collect();
            for o in list.iter().chain([&v]) {
                let at = Civil::parse(o.at(&["metadata", "creationTimestamp"]).text()).map(|t| t.unix());
                if let Some(at) = at {
                    // A name with two times tells nothing.
                    let known = created.entry(o.name().to_owned()).or_insert(Some(at));
                    *known = known.filter(|t| *t == at);
                }
            }
        }
    }
    let at = |name: &str| created.get(name.rsplit('/').next().unwrap_or(name)).copied().flatten();
    entries.iter().map(|e| made(e, &at).or_else(|| aged(e, &at))).collect()
}

/// The time of an object that a command made.
fn made(e: &Entry, at: &impl Fn(&str) -> Option<i64>) -> Option<i64> {
    e.output.lines().find_map(|l| at(l.strip_suffix(" created")?))
}

/// The time that a table's ages lead to.
fn aged(e: &Entry, at: &impl Fn(&str) -> Option<i64>) -> Option<i64> {
    let mut header: Vec<&str> = Vec::new();
    let mut found = None;
    for line in e.output.lines() {
        let cells: Vec<&str> = line.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect();
        if cells.contains(&"AGE") {
            header = cells;
            continue;
        }
        let column = |n: &str| header.iter().position(|h| *h == n).and_then(|i| cells.get(i).copied());
        if cells.len() == header.len()
            && let (Some(name), Some(age)) = (column("NAME"), column("AGE"))
            && let (Some(since), Ok(age)) = (at(name), api::duration::parse(age))
        {
            found = found.max(Some(since + age / 1_000_000_000));
        }
    }
    found
}
