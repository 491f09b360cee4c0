//! Images as the kubelet sees them: what a registry has, how long a pull takes.

use crate::dns;
use crate::images::{Image, Reference};
use sim::Duration;

fn find(reference: &str) -> Option<&'static Image> {
    if reference == dns::IMAGE_NAME {
        return Some(&dns::IMAGE);
    }
    Image::find(&Reference::parse(reference).ok()?)
}

/// A reference with registry, repository and tag, as error texts have it: `docker.io/library/nginx:latest`.
pub(crate) fn canonical(reference: &str) -> String {
    Reference::parse(reference).map_or_else(|_| reference.to_owned(), |r| r.canonical())
}

/// Whether a reference is well-formed.
pub(crate) fn is_valid(reference: &str) -> bool {
    Reference::parse(reference).is_ok()
}

/// The size of an image in bytes, 0 if no registry has it.
pub(crate) fn size_of(reference: &str) -> i64 {
    find(reference).map_or(0, |i| i.size_bytes as i64)
}

/// What a registry answers.
pub(crate) fn resolve(reference: &str) -> Result<&'static Image, String> {
    if let Some(i) = find(reference) {
        return Ok(i);
    }
    let full = canonical(reference);
    let head =
        format!("failed to pull and unpack image \"{full}\": failed to resolve reference \"{full}\": ");
    if Reference::parse(reference).is_ok_and(|r| Image::has_repository(&r)) {
        return Err(format!("rpc error: code = NotFound desc = {head}{full}: not found"));
    }
    Err(format!(
        "{head}pull access denied, repository does not exist or may require authorization: server message: \
         insufficient_scope: authorization failed"
    ))
}

/// How long a pull takes on a good line: the answer's way, then 60 MB a second of compressed layers.
pub(crate) fn pull_time(bytes: u64) -> Duration {
    Duration::from_millis(180 + bytes / 60_000)
}

/// How long it takes to see that nothing changed.
pub(crate) fn check_time() -> Duration {
    Duration::from_millis(240)
}

/// The numeric user that an image names.
pub(crate) fn uid(image: &Image) -> i64 {
    image.user.split(':').next().and_then(|u| u.parse().ok()).unwrap_or(0)
}
