//! Terminals: xterm.js behind `static/terminal.js`.

use js_sys::{Function, Reflect, Uint8Array};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::*;

/// A terminal in the page.
#[derive(Clone)]
pub struct Terminal(JsValue);

impl Terminal {
    /// Opens a terminal in the element of that id. `typed` gets what the person types, `resized` columns and rows.
    pub fn open(
        element: &str,
        typed: impl Fn(Vec<u8>) + 'static,
        resized: impl Fn(u16, u16) + 'static,
    ) -> Option<Terminal> {
        let global = js_sys::global();
        let open = Reflect::get(&global, &"kubariumTerminal".into()).ok()?.dyn_into::<Function>().ok()?;
        let typed = Closure::<dyn Fn(Uint8Array)>::new(move |b: Uint8Array| typed(b.to_vec()));
        let resized = Closure::<dyn Fn(u16, u16)>::new(resized);
        let t = open.call3(&global, &element.into(), typed.as_ref(), resized.as_ref()).ok()?;
        typed.forget();
        resized.forget();
        (!t.is_null()).then_some(Terminal(t))
    }

    fn call(&self, method: &str, argument: &JsValue) {
        if let Ok(f) = Reflect::get(&self.0, &method.into())
            && let Some(f) = f.dyn_ref::<Function>()
        {
            let _ = f.call1(&self.0, argument);
        }
    }

    /// Shows output.
    pub fn write(&self, bytes: &[u8]) {
        self.call("show", &Uint8Array::from(bytes).into());
    }

    /// Fits it to its pane.
    pub fn fit(&self) {
        self.call("fitPane", &JsValue::UNDEFINED);
    }

    /// Gives it the keyboard.
    pub fn focus(&self) {
        self.call("focusTerminal", &JsValue::UNDEFINED);
    }

    /// Forgets what it showed.
    pub fn clear(&self) {
        self.call("clearAll", &JsValue::UNDEFINED);
    }
}
