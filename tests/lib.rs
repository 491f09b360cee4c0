//! What tests that need more than one crate share: the runners of recorded transcripts and of the comparison with the
//! real kubectl.

pub mod oracle;
pub mod parity;
