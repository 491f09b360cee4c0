//! What chance gave in a recording: suffixes of generated names, and nodes chosen between equally good ones.
//!
//! They are inputs of a case, not answers: commands name generated pods, and where scores tie the real scheduler tosses
//! a coin. The world gets them as draws to use first: the API server takes a name's suffix from the list of its
//! beginning, the scheduler follows a toss only where that node is among its own best. Scores that differ still
//! show.

use super::compare::random_suffix;
use api::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The draws of some cases that share a world.
#[derive(Debug, Default)]
pub struct Draws {
    /// Beginning and suffix of names, in order of creation as far as it is known.
    pub names: Vec<(String, String)>,
    /// Namespace, pod and node, in order.
    pub tosses: Vec<(String, String, String)>,
}

/// What is gathered on the way.
#[derive(Default)]
struct Found {
    /// Names in order of appearance, with the place of the command that first shows each.
    names: Vec<((String, String), usize)>,
    /// Bindings whose order is that of the scheduler.
    bound: Vec<(String, String, String)>,
    /// Pods in the order in which the scheduler took them up.
    tried: Vec<String>,
    /// Pods seen on nodes.
    seen: BTreeMap<(String, String), Vec<String>>,
}

/// Reads the draws of the cases in these folders, given in the order in which they ran.
pub fn read<'a>(dirs: impl Iterator<Item = &'a Path>) -> Draws {
    let mut f = Found::default();
    for dir in dirs {
        for (file, ordered) in [
            ("scheduler-scores.log", true),
            ("events-ordered.txt", true),
            ("cmd.txt", false),
            ("output.txt", false),
        ] {
            let text = fs::read_to_string(dir.join(file)).unwrap_or_default();
            f.bindings(&text, ordered);
        }
        let output = fs::read_to_string(dir.join("output.txt")).unwrap_or_default();
        let cmd = fs::read_to_string(dir.join("cmd.txt")).unwrap_or_default();
        for (i, e) in super::transcript(&super::commands(&cmd), &output).iter().enumerate() {
            f.words(&e.line, i);
            f.words(&e.output, i);
            f.nodes(namespace_of(&e.line), &e.output);
        }
        f.nodes("", &fs::read_to_string(dir.join("object.json")).unwrap_or_default());
    }
    f.draws()
}

/// The namespace that a command names.
pub fn namespace_of(line: &str) -> &str {
    let mut words = line.split_whitespace();
    while let Some(w) = words.next() {
        if let Some(ns) = w.strip_prefix("--namespace=") {
            return ns;
        }
        if matches!(w, "-n" | "--namespace") {
            return words.next().unwrap_or("");
        }
    }
    "default"
}

impl Found {
    /// `Successfully assigned NS/POD to NODE` and the scheduler's log of the same.
    fn bindings(&mut self, text: &str, ordered: bool) {
        for line in text.lines() {
            let quoted = |key: &str| line.split(key).nth(1).and_then(|r| r.split('"').next()).unwrap_or("");
            let (pod, node) = if let Some(rest) = line.split("Successfully assigned ").nth(1) {
                let mut w = rest.split_whitespace();
                (w.next().unwrap_or(""), w.nth(1).unwrap_or(""))
            } else if line.contains("Successfully bound pod to node") {
                (quoted(" pod=\""), quoted(" node=\""))
            } else if line.contains("Attempting to schedule pod") {
                (quoted(" pod=\""), "")
            } else {
                continue;
            };
            let Some((ns, pod)) = pod.split_once('/') else { continue };
            if node.is_empty() {
                self.tried.push(pod.to_owned());
                continue;
            }
            let b = (ns.to_owned(), pod.to_owned(), node.trim_end_matches(['"', ',']).to_owned());
            if ordered && !self.bound.contains(&b) {
                self.bound.push(b);
            } else if !ordered {
                self.saw(ns, pod, &b.2);
            }
        }
    }

    fn saw(&mut self, ns: &str, pod: &str, node: &str) {
        let all = self.seen.entry((ns.to_owned(), pod.to_owned())).or_default();
        if all.last().is_none_or(|n| n != node) {
            all.push(node.to_owned());
        }
    }

    /// Generated names.
    fn words(&mut self, text: &str, command: usize) {
        let part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        for w in text.split(|c| !part(c)) {
            if let Some(i) = random_suffix(w) {
                let n = (w[..i].to_owned(), w[i..].to_owned());
                if !self.names.iter().any(|(known, _)| *known == n) {
                    self.names.push((n, command));
                }
            }
        }
    }

    /// Pods with their nodes, in objects and in tables.
    fn nodes(&mut self, ns: &str, text: &str) {
        if text.starts_with("apiVersion:") || text.starts_with('{') {
            for v in api::yaml::parse_all(text).0 {
                let list = v.get("items").items().cloned().collect::<Vec<Value>>();
                for pod in list.iter().chain([&v]).filter(|p| p.kind() == "Pod") {
                    let node = pod.at(&["spec", "nodeName"]).text();
                    if !node.is_empty() {
                        self.saw(pod.namespace(), pod.name(), node);
                    }
                }
            }
            return;
        }
        let mut header: Vec<&str> = Vec::new();
        for line in text.lines() {
            let cells: Vec<&str> = line.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect();
            if cells.contains(&"NODE") {
                header = cells;
                continue;
            }
            let column = |names: &[&str]| {
                let i = header.iter().position(|h| names.contains(h))?;
                cells.get(i).copied()
            };
            if let (Some(pod), Some(node)) = (column(&["NAME", "POD", "N"]), column(&["NODE"]))
                && cells.len() == header.len()
                && !node.starts_with('<')
            {
                let ns = column(&["NAMESPACE"]).unwrap_or(ns).to_owned();
                self.saw(&ns, pod.trim_start_matches("pod/"), node);
            }
        }
    }

    fn draws(self) -> Draws {
        let place = |((base, suffix), command): &((String, String), usize)| {
            let name = format!("{base}{suffix}");
            let tried = self.tried.iter().position(|p| *p == name);
            let bound = self.bound.iter().position(|(_, p, _)| *p == name);
            let order = tried.or(bound).unwrap_or(usize::MAX);
            let node = self.seen.iter().find(|((_, p), _)| *p == name).and_then(|(_, n)| n.first().cloned());
            (order, *command, node)
        };
        let mut names = self.names.clone();
        // Those of no known order, as a DaemonSet's, which makes one a node, go by their nodes.
        names.sort_by_cached_key(place);
        let mut tosses = self.bound.clone();
        for ((ns, pod), nodes) in &self.seen {
            if !tosses.iter().any(|(n, p, _)| n == ns && p == pod) {
                tosses.extend(nodes.iter().map(|n| (ns.clone(), pod.clone(), n.clone())));
            }
        }
        Draws { names: names.into_iter().map(|(n, _)| n).collect(), tosses }
    }
}
