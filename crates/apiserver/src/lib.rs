//! The API server: the etcd-like store, the request pipeline in front of it, and the client that components use.
//!
//! A request passes authentication, authorization, mutating admission, validation, validating admission and storage, in
//! that order, whoever sends it (*Invariant*: components meet only through the API, under their own identity). Watches
//! read the store's change logs; their delivery in time is left to the event loop of `cluster`. Connections to kubelets
//! (exec, logs, port-forward) are handed back to the caller as [`Outcome::Kubelet`].

pub mod admission;
mod alloc;
pub mod auth;
mod bootstrap;
pub mod client;
mod custom;
mod discovery;
mod eviction;
mod impersonate;
mod managed;
mod old;
mod openapi;
mod pipeline;
mod raw;
pub mod recorder;
mod registry;
mod request;
mod review;
mod scale;
mod server;

mod service;
pub mod status;
pub mod store;
mod table;
mod texts;
mod watch;

pub use client::{Client, Identity, Patch};
pub use raw::{http_body, raw_json};
pub use recorder::Recorder;
pub use registry::{Registry, ResId, Resource};
pub use request::{KubeletCall, Op, Options, Outcome, Verb};
pub use server::{ApiServer, Settings};
pub use status::Status;
pub use store::{Change, ChangeKind, Store};
pub use texts::Texts;
pub use watch::{Watch, WatchEvent};

/// The certificate of the cluster's authority, as `kube-root-ca.crt` holds it: a token, not cryptography.
pub const CLUSTER_CA: &str =
    "-----BEGIN CERTIFICATE-----\nS3ViYXJpdW0gY2x1c3RlciBDQQ==\n-----END CERTIFICATE-----\n";
