//! The dedicated worker, from both sides. Messages are postcard bytes.

use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::*;

/// The page's end.
#[derive(Clone)]
pub struct Worker(web_sys::Worker);

impl Worker {
    /// Starts the worker's program. `message` gets what it sends, `died` the reason when it cannot go on.
    pub fn start<M: DeserializeOwned>(
        message: impl Fn(M) + 'static,
        died: impl Fn(String) + 'static,
    ) -> Option<Worker> {
        let options = web_sys::WorkerOptions::new();
        options.set_type(web_sys::WorkerType::Module);
        let w = web_sys::Worker::new_with_options("./worker-start.js", &options).ok()?;
        let on_message = Closure::<dyn Fn(web_sys::MessageEvent)>::new(move |e: web_sys::MessageEvent| {
            if let Some(m) = decode(&e.data()) {
                message(m);
            }
        });
        w.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        on_message.forget();
        let on_error = Closure::<dyn Fn(JsValue)>::new(move |e: JsValue| {
            let text = js_sys::Reflect::get(&e, &"message".into()).ok().and_then(|m| m.as_string());
            died(text.unwrap_or_else(|| "the worker could not be loaded".into()));
        });
        w.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        on_error.forget();
        Some(Worker(w))
    }

    /// Sends a message.
    pub fn post<M: Serialize>(&self, m: &M) {
        if let Some(bytes) = encode(m) {
            let _ = self.0.post_message(&bytes);
        }
    }

    /// Ends it.
    pub fn terminate(&self) {
        self.0.terminate();
    }
}

fn encode<M: Serialize>(m: &M) -> Option<JsValue> {
    let bytes = postcard::to_allocvec(m).ok()?;
    Some(js_sys::Uint8Array::from(bytes.as_slice()).into())
}

fn decode<M: DeserializeOwned>(v: &JsValue) -> Option<M> {
    let bytes = v.dyn_ref::<js_sys::Uint8Array>()?.to_vec();
    postcard::from_bytes(&bytes).ok()
}

/// The worker's end: calls `f` with each message from the page.
pub fn serve_worker<M: DeserializeOwned>(f: impl Fn(M) + 'static) {
    let Ok(scope) = js_sys::global().dyn_into::<web_sys::DedicatedWorkerGlobalScope>() else { return };
    let on_message = Closure::<dyn Fn(web_sys::MessageEvent)>::new(move |e: web_sys::MessageEvent| {
        if let Some(m) = decode(&e.data()) {
            f(m);
        }
    });
    scope.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    on_message.forget();
}

/// Sends a message from the worker to the page.
pub fn post_from_worker<M: Serialize>(m: &M) {
    let scope = js_sys::global().dyn_into::<web_sys::DedicatedWorkerGlobalScope>();
    if let (Ok(scope), Some(bytes)) = (scope, encode(m)) {
        let _ = scope.post_message(&bytes);
    }
}

/// Fetches a file for the worker; `got` hears nothing where it cannot be had.
pub fn fetch_bytes(path: &str, got: impl FnOnce(Vec<u8>) + 'static) {
    let global = js_sys::global();
    let Some(fetch) = js_sys::Reflect::get(&global, &"kubariumBytes".into())
        .ok()
        .and_then(|f| f.dyn_into::<js_sys::Function>().ok())
    else {
        return;
    };
    let callback = Closure::once_into_js(move |bytes: JsValue| {
        if let Some(b) = bytes.dyn_ref::<js_sys::Uint8Array>() {
            got(b.to_vec());
        }
    });
    let _ = fetch.call2(&global, &path.into(), &callback);
}
