//! Conversations with kubelets over HTTP: logs as a body, exec and attach over a WebSocket.
//!
//! Models: the `v4.channel.k8s.io` and `v5.channel.k8s.io` subprotocols: each message begins with its channel's byte.

use crate::Handle;
use crate::convert;
use api::wire::{Body as WireBody, Message};
use axum::body::{Body, Bytes};
use axum::extract::WebSocketUpgrade;
use axum::extract::ws;
use axum::response::Response;
use cluster::Heard;
use std::convert::Infallible;
use tokio::sync::mpsc::UnboundedReceiver;

/// Channel of the final `Status`.
const STATUS: u8 = 3;
/// Channel of terminal sizes.
const RESIZE: u8 = 4;
/// How long a client may take to close its side.
const GOODBYE: std::time::Duration = std::time::Duration::from_secs(5);
/// In v5, says that the channel named by the next byte is closed.
const CLOSE: u8 = 255;

pub(crate) async fn answer(
    handle: Handle,
    id: u64,
    mut heard: UnboundedReceiver<Heard>,
    upgrade: Option<WebSocketUpgrade>,
) -> Response {
    let Some(Heard::Head(head)) = heard.recv().await else {
        return convert::plain(503, "the kubelet did not answer\n");
    };
    if head.status == 101 {
        let Some(upgrade) = upgrade else {
            handle.hang_up(id).await;
            return convert::plain(400, "unable to upgrade: only WebSocket is served here\n");
        };
        return upgrade
            .protocols(["v5.channel.k8s.io", "v4.channel.k8s.io"])
            .on_upgrade(move |socket| bridge(socket, handle, id, heard));
    }
    let mut r = convert::head(&head);
    *r.body_mut() = match &head.body {
        _ if head.stream => streamed(heard),
        WireBody::Object(v) => Body::from(v.to_json()),
        WireBody::Bytes(b) => Body::from(b.to_vec()),
        WireBody::Empty => Body::empty(),
    };
    r
}

/// A body of what comes until the end: a log that is followed.
fn streamed(heard: UnboundedReceiver<Heard>) -> Body {
    Body::from_stream(futures_util::stream::unfold(heard, |mut heard| async {
        loop {
            match heard.recv().await? {
                Heard::Message(Message::Data(_, b)) => {
                    return Some((Ok::<Bytes, Infallible>(Bytes::from(b.to_vec())), heard));
                }
                Heard::End => return None,
                _ => {}
            }
        }
    }))
}

async fn bridge(mut socket: ws::WebSocket, handle: Handle, id: u64, mut heard: UnboundedReceiver<Heard>) {
    loop {
        tokio::select! {
            h = heard.recv() => {
                let frame = match h {
                    Some(Heard::Message(m)) => frame(&m),
                    Some(Heard::Head(_)) => None,
                    Some(Heard::End) | None => break,
                };
                if let Some(f) = frame && socket.send(ws::Message::Binary(f.into())).await.is_err() {
                    break;
                }
            }
            m = socket.recv() => match m {
                Some(Ok(ws::Message::Binary(b))) => {
                    if let Some(m) = message(&b) {
                        handle.say(id, m).await;
                    }
                }
                Some(Ok(ws::Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => {}
            },
        }
    }
    handle.hang_up(id).await;
    // A client takes any other end than a normal one for a failure. It may be gone already.
    let end = ws::CloseFrame { code: ws::close_code::NORMAL, reason: ws::Utf8Bytes::default() };
    if socket.send(ws::Message::Close(Some(end))).await.is_ok() {
        // The connection stays until the client has read everything and closes too.
        let _ = tokio::time::timeout(GOODBYE, async { while let Some(Ok(_)) = socket.recv().await {} }).await;
    }
}

fn frame(m: &Message) -> Option<Vec<u8>> {
    let with = |channel: u8, b: &[u8]| Some([&[channel], b].concat());
    match m {
        Message::Data(channel, b) => with(*channel, b),
        Message::Status(s) => with(STATUS, s.to_json().as_bytes()),
        _ => None,
    }
}

fn message(b: &[u8]) -> Option<Message> {
    match b {
        [CLOSE, channel, ..] => Some(Message::Close(*channel)),
        [RESIZE, rest @ ..] => {
            let (v, _) = api::parse_json(core::str::from_utf8(rest).ok()?).ok()?;
            Some(Message::Resize(v.get("Width").int() as u16, v.get("Height").int() as u16))
        }
        [channel, rest @ ..] => Some(Message::Data(*channel, rest.into())),
        [] => None,
    }
}
