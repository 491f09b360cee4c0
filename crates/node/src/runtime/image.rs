//! The image store and pulls.

use super::{Event, Op, PullId, Runtime};
use crate::images::{Image, Reference};
use crate::kernel::Machine;
use shell::fs::Tree;
use sim::{Duration, Instant};
use smol_str::SmolStr;
use std::sync::Arc;

/// An image on the node.
#[derive(Clone, Debug)]
pub(super) struct Local {
    pub image: &'static Image,
    pub tree: Tree,
    pub names: Vec<SmolStr>,
    pub used: Instant,
}

/// What is known of an image on the node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImageInfo {
    /// Configuration digest.
    pub id: String,
    /// Names with tags.
    pub names: Vec<SmolStr>,
    /// Name with the manifest's digest: the `imageID` of a container's status.
    pub repo_digest: String,
    /// Bytes.
    pub size_bytes: u64,
    /// `USER` of the image.
    pub user: SmolStr,
    /// When it was last used.
    pub used: Instant,
}

#[derive(Clone, Debug)]
pub(super) struct Pull {
    reference: Reference,
    began: Instant,
    ends: Instant,
    total: u64,
}

/// A pull that succeeded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pulled {
    /// The image's identifier.
    pub id: String,
    /// How long it took.
    pub time: Duration,
    /// Bytes.
    pub size_bytes: u64,
}

/// A pull that failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PullError {
    /// containerd's text, with the gRPC code in front if it carries one.
    pub text: String,
}

/// Registries that answer.
const REGISTRIES: [&str; 6] = ["docker.io", "registry.k8s.io", "quay.io", "ghcr.io", "gcr.io", "k8s.gcr.io"];

impl Runtime {
    fn info(l: &Local) -> ImageInfo {
        ImageInfo {
            id: l.image.id(),
            names: l.names.clone(),
            repo_digest: format!("{}@{}", l.image.repository, l.image.digest()),
            size_bytes: l.image.size_bytes,
            user: l.image.user.into(),
            used: l.used,
        }
    }

    pub(super) fn local(&self, reference: &str) -> Option<&Arc<Local>> {
        if let Some(l) = self.images.get(reference) {
            return Some(l);
        }
        let r = Reference::parse(reference).ok()?;
        let image = Image::find(&r)?;
        let l = self.images.get(image.id().as_str())?;
        let name = r.canonical();
        (r.digest.is_some() || l.names.iter().any(|n| *n == name)).then_some(l)
    }

    /// An image that is on the node, by name, digest or identifier.
    pub fn image_status(&self, reference: &str) -> Option<ImageInfo> {
        self.local(reference).map(|l| Self::info(l))
    }

    /// All images on the node.
    pub fn images(&self) -> impl Iterator<Item = ImageInfo> {
        self.images.values().map(|l| Self::info(l))
    }

    /// Bytes of all images on the node.
    pub fn image_bytes(&self) -> u64 {
        self.images.values().map(|l| l.image.size_bytes).sum()
    }

    /// Removes an image.
    pub fn remove_image(&mut self, reference: &str) {
        if let Some(id) = self.local(reference).map(|l| l.image.id()) {
            self.images.remove(id.as_str());
        }
    }

    /// Puts an image on the node without pulling: one that was there before. False if no registry has it.
    pub fn import(&mut self, reference: &str, machine: &Machine) -> bool {
        let Some((r, image)) = Reference::parse(reference).ok().and_then(|r| Image::find(&r).map(|i| (r, i)))
        else {
            return false;
        };
        self.keep(&r, image, machine);
        true
    }

    fn keep(&mut self, r: &Reference, image: &'static Image, machine: &Machine) {
        let now = machine.kernel.now();
        let id: SmolStr = image.id().into();
        let name: SmolStr = r.canonical().into();
        let mut l = match self.images.get(&id) {
            Some(l) => (**l).clone(),
            None => Local { image, tree: image.tree(machine.kernel.unix()), names: Vec::new(), used: now },
        };
        if !l.names.contains(&name) {
            l.names.push(name);
        }
        self.images.insert(id, Arc::new(l));
    }

    /// Begins a pull; [`Event::Pulled`] ends it.
    pub fn pull(&mut self, reference: &Reference, now: Instant) -> PullId {
        let id = self.number();
        let mut time = self.between(self.delays.registry);
        let mut total = 0;
        if let Some(i) = Image::find(reference) {
            total = i.size_bytes;
            // Layers that other images on the node have are not transferred again.
            let base =
                self.images.values().any(|l| l.image.base == i.base && l.image.size_bytes > i.size_bytes / 2);
            let bytes = if self.images.contains_key(i.id().as_str()) {
                0
            } else if base && i.base == crate::images::Base::Debian {
                total * 2 / 5
            } else {
                total
            };
            let ns = u128::from(bytes) * 1_000_000_000 / u128::from(self.delays.pull_bytes_per_second.max(1));
            let transfer = Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX));
            time += self.stream.jitter(transfer, 15);
        }
        let ends = now + time;
        self.pulls.insert(id, Pull { reference: reference.clone(), began: now, ends, total });
        self.queue.push(ends, Op::Pull(id));
        id
    }

    /// Bytes that a pull has transferred, of how many.
    pub fn pull_progress(&self, id: PullId, now: Instant) -> Option<(u64, u64)> {
        let p = self.pulls.get(&id)?;
        let (all, gone) = (p.ends.since(p.began).as_nanos().max(1), now.since(p.began).as_nanos());
        let done = u128::from(p.total) * gone.min(all) / all;
        Some((done as u64, p.total))
    }

    pub(super) fn pull_ended(&mut self, id: PullId, machine: &Machine) {
        let Some(p) = self.pulls.remove(&id) else { return };
        let r = &p.reference;
        let name = r.canonical();
        let result = match Image::find(r) {
            Some(image) => {
                self.keep(r, image, machine);
                Ok(Pulled { id: image.id(), time: p.ends.since(p.began), size_bytes: image.size_bytes })
            }
            None => Err(PullError { text: failure(r, &name) }),
        };
        self.events.push_back(Event::Pulled(id, result));
    }
}

/// Why a registry does not give an image.
fn failure(r: &Reference, name: &str) -> String {
    let head =
        format!("failed to pull and unpack image \"{name}\": failed to resolve reference \"{name}\": ");
    let host = r.repository.split('/').next().unwrap_or_default();
    if !REGISTRIES.contains(&host) {
        let path = r.repository.get(host.len() + 1..).unwrap_or_default();
        let h = host.split(':').next().unwrap_or_default();
        return format!(
            "{head}failed to do request: Head \"https://{host}/v2/{path}/manifests/{}\": dial tcp: lookup {h}: no such host",
            r.tag
        );
    }
    if Image::has_repository(r) || host != "docker.io" {
        return format!("rpc error: code = NotFound desc = {head}{name}: not found");
    }
    format!(
        "{head}pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed"
    )
}
