//! The page and the worker that hosts the world.
//!
//! *Invariant*: the page owns no cluster state. It sends [`protocol::ToWorker`] and draws [`protocol::FromWorker`];
//! `platform` alone talks to the browser.

pub mod page;
pub mod platform;
pub mod protocol;
pub mod worker;
