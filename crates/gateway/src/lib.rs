//! The native HTTP front: real clients talk to the same API server that lives in the page.
//!
//! One task owns the world and moves it with the wall clock; requests reach it over a channel. This crate alone knows
//! tokio, axum and the clock.

mod convert;
mod driver;
mod protobuf;
mod streams;
mod tags;

use axum::Router;
use axum::extract::{FromRequestParts, Request, State, WebSocketUpgrade};
use axum::response::Response;
use driver::Answer;
pub use driver::{Driver, Handle};

/// Serves a world on `127.0.0.1:port` until the process ends.
///
/// # Errors
/// If the port cannot be bound or the listener breaks.
pub async fn serve(port: u16, handle: Handle) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let app = Router::new().fallback(answer).with_state(handle);
    axum::serve(listener, app).await
}

async fn answer(State(handle): State<Handle>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let limit = sim::Limits::TABLE.request_bytes_max + 1024;
    let bytes = match axum::body::to_bytes(body, limit).await {
        Ok(b) => b,
        Err(_) => return convert::plain(413, "Request entity too large: limit is 3145728\n"),
    };
    let call = match convert::request(&parts, &bytes) {
        Ok(r) => r,
        Err(message) => return convert::plain(400, &message),
    };
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &handle).await.ok();
    match handle.call(call).await {
        Answer::Http(r) => r,
        Answer::Kubelet(id, heard) => streams::answer(handle, id, heard, upgrade).await,
    }
}
