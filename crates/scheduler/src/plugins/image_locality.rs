//! ImageLocality: nodes that have the images already score higher.

use super::{Plugin, SCORE_MAX};

const MIB: i64 = 1024 * 1024;
/// Images below this size count nothing.
const MIN: i64 = 23 * MIB;
/// Images above this size, per container, count fully.
const MAX: i64 = 1000 * MIB;

pub(super) static PLUGIN: Plugin = Plugin {
    name: "ImageLocality",
    score: Some(|c, all| {
        let nodes = c.nodes;
        let containers = c.pod.pod.at(&["spec", "containers"]);
        let normal = |name: &str| -> String {
            let last = name.rsplit('/').next().unwrap_or(name);
            if last.contains(':') || last.contains('@') { name.to_owned() } else { format!("{name}:latest") }
        };
        let size_on = |n: &crate::cache::NodeInfo, image: &str| {
            n.node
                .at(&["status", "images"])
                .items()
                .find(|i| i.get("names").items().any(|x| x.text() == image))
                .map(|i| i.get("sizeBytes").int())
        };
        let images: Vec<String> = containers.items().map(|x| normal(x.get("image").text())).collect();
        Some(
            all.iter()
                .map(|n| {
                    let sum: i64 = images
                        .iter()
                        .filter_map(|i| {
                            let size = size_on(n, i)?;
                            let spread = nodes.iter().filter(|m| size_on(m, i).is_some()).count() as i64;
                            Some(size * spread / (nodes.len() as i64).max(1))
                        })
                        .sum();
                    let max = MAX * (images.len() as i64).max(1);
                    SCORE_MAX * (sum.clamp(MIN, max) - MIN) / (max - MIN)
                })
                .collect(),
        )
    }),
    ..Plugin::NONE
};
