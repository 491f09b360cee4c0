//! The browser, behind a few functions. Nothing else in this crate names it.

mod terminal;
mod worker;

pub use terminal::Terminal;
pub use worker::{Worker, fetch_bytes, post_from_worker, serve_worker};

use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::*;

fn window() -> Option<web_sys::Window> {
    web_sys::window()
}

/// Milliseconds of a clock that only moves forward.
pub fn now_ms() -> f64 {
    let global = js_sys::global();
    let performance = js_sys::Reflect::get(&global, &"performance".into()).ok();
    performance.and_then(|p| p.dyn_into::<web_sys::Performance>().ok()).map_or(0.0, |p| p.now())
}

/// Calls `f` once after `ms` milliseconds, in a window or a worker.
pub fn after(ms: i32, f: impl FnOnce() + 'static) {
    let callback = Closure::once_into_js(f);
    let global = js_sys::global();
    if let Ok(set) = js_sys::Reflect::get(&global, &"setTimeout".into())
        && let Some(set) = set.dyn_ref::<js_sys::Function>()
    {
        // A timer that cannot be set means that the page is going away.
        let _ = set.call2(&global, &callback, &JsValue::from(ms));
    }
}

/// A value kept between visits.
pub fn stored(key: &str) -> Option<String> {
    window()?.local_storage().ok()??.get_item(&format!("kubarium.{key}")).ok()?
}

/// Keeps a value between visits, where the browser allows it.
pub fn store(key: &str, value: &str) {
    if let Some(s) = window().and_then(|w| w.local_storage().ok().flatten()) {
        let _ = s.set_item(&format!("kubarium.{key}"), value);
    }
}

/// Whether the person asks for a dark page.
pub fn prefers_dark() -> bool {
    let query = window().and_then(|w| w.match_media("(prefers-color-scheme: dark)").ok().flatten());
    query.is_some_and(|q| q.matches())
}

/// Sets the theme: `light` or `dark`.
pub fn set_theme(theme: &str) {
    if let Some(root) = window().and_then(|w| w.document()).and_then(|d| d.document_element()) {
        let _ = root.set_attribute("data-theme", theme);
    }
    store("theme", theme);
}

/// What follows `#` in the address.
pub fn fragment() -> String {
    window().and_then(|w| w.location().hash().ok()).unwrap_or_default().trim_start_matches('#').to_owned()
}

/// The address of this page with another fragment.
pub fn address_with(fragment: &str) -> String {
    let Some(l) = window().map(|w| w.location()) else { return String::new() };
    let (origin, path) = (l.origin().unwrap_or_default(), l.pathname().unwrap_or_default());
    format!("{origin}{path}#{fragment}")
}

/// Puts text into the clipboard; `done` learns whether that worked.
pub fn copy(text: &str, done: impl Fn(bool) + 'static) {
    let Some(w) = window() else { return done(false) };
    let promise = w.navigator().clipboard().write_text(text);
    let done = std::rc::Rc::new(done);
    let failed = done.clone();
    let ok = Closure::once(move |_: JsValue| done(true));
    let bad = Closure::once(move |_: JsValue| failed(false));
    let _ = promise.then2(&ok, &bad);
    ok.forget();
    bad.forget();
}

/// Fetches a text beside the page; `got` gets `None` where there is none.
pub fn fetch_text(path: &str, got: impl FnOnce(Option<String>) + 'static) {
    let global = js_sys::global();
    let Some(fetch) = js_sys::Reflect::get(&global, &"kubariumFetch".into())
        .ok()
        .and_then(|f| f.dyn_into::<js_sys::Function>().ok())
    else {
        return got(None);
    };
    let callback = Closure::once_into_js(move |text: JsValue| got(text.as_string()));
    let _ = fetch.call2(&global, &path.into(), &callback);
}

/// Width and height of an element by its id, in CSS pixels.
pub fn size_of(id: &str) -> (f64, f64) {
    let element = window().and_then(|w| w.document()).and_then(|d| d.get_element_by_id(id));
    element.map_or((0.0, 0.0), |e| (f64::from(e.client_width()), f64::from(e.client_height())))
}

/// Calls `f` on each key press anywhere in the page: key, whether Ctrl or Cmd is held, whether a text field has the
/// focus. `f` says whether it took the key.
pub fn on_key(f: impl Fn(&str, bool, bool) -> bool + 'static) {
    let Some(w) = window() else { return };
    let callback = Closure::<dyn Fn(web_sys::KeyboardEvent)>::new(move |e: web_sys::KeyboardEvent| {
        let typing = e
            .target()
            .and_then(|t| t.dyn_into::<web_sys::Element>().ok())
            .is_some_and(|t| matches!(t.tag_name().as_str(), "TEXTAREA" | "INPUT" | "SELECT"));
        if f(&e.key(), e.ctrl_key() || e.meta_key(), typing) {
            e.prevent_default();
        }
    });
    let _ = w.add_event_listener_with_callback("keydown", callback.as_ref().unchecked_ref());
    callback.forget();
}

/// Calls `f` when the window's size changes.
pub fn on_resize(f: impl Fn() + 'static) {
    let Some(w) = window() else { return };
    let callback = Closure::<dyn Fn()>::new(f);
    let _ = w.add_event_listener_with_callback("resize", callback.as_ref().unchecked_ref());
    callback.forget();
}

/// Moves the keyboard focus to an element by its id.
pub fn focus(id: &str) {
    let element = window().and_then(|w| w.document()).and_then(|d| d.get_element_by_id(id));
    if let Some(e) = element.and_then(|e| e.dyn_into::<web_sys::HtmlElement>().ok()) {
        let _ = e.focus();
    }
}

/// Scrolls an element by its id to a distance from its top, in CSS pixels.
pub fn scroll_top(id: &str, px: i32) {
    if let Some(e) = window().and_then(|w| w.document()).and_then(|d| d.get_element_by_id(id)) {
        e.set_scroll_top(px);
    }
}
