//! What tests that need more than one crate share: the runner of recorded transcripts.

pub mod oracle;
