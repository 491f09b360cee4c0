//! The dock: terminals and the manifest editor.

use super::editor::Editor;
use super::state::{App, Pane, Tab};
use crate::platform::{self, Terminal};
use cluster::Command;
use leptos::prelude::*;

#[component]
pub fn Dock() -> impl IntoView {
    let app = App::get();
    Effect::new(move |_| {
        app.tab.track();
        app.lesson_open.track();
        app.inspector_open.track();
        app.pane.track();
        fit(app);
    });
    platform::on_resize(move || fit(app));
    view! {
        <div class="tabs">
            <div class="tab-list" role="tablist" aria-label="Terminals and files">
            <For each=move || app.tabs.get().into_iter().enumerate() key=|(i, t)| (*i, t.clone()) let:item>
                {
                    let (i, t) = item;
                    let name = match &t {
                        Tab::Terminal(n, host) if host.is_empty() => format!("Terminal {n}"),
                        Tab::Terminal(_, host) => format!("node {host}"),
                        Tab::Editor => "Manifest".to_owned(),
                    };
                    view! {
                        <button role="tab" class="tab" aria-selected=move || (app.tab.get() == i).to_string() on:click=move |_| {
                            app.tab.set(i);
                            fit(app);
                        }>{name}</button>
                    }
                }
            </For>
            </div>
            <button class="tab plus" aria-label="New terminal" title="New terminal" on:click=move |_| open_terminal(app, "")>"+"</button>
        </div>
        <div class="dock-body">
            <For each=move || app.tabs.get().into_iter().enumerate() key=|(i, t)| (*i, t.clone()) let:item>
                {
                    let (i, t) = item;
                    let hidden = move || app.tab.get() != i;
                    match t {
                        Tab::Terminal(n, _) => view! {
                            <div class="terminal" id=format!("terminal-{n}") class:hidden=hidden></div>
                        }.into_any(),
                        Tab::Editor => view! { <div class="editor-pane" class:hidden=hidden><Editor /></div> }.into_any(),
                    }
                }
            </For>
        </div>
    }
}

/// Makes the element of a terminal live.
fn mount(app: App, n: u32, host: String) {
    if app.has_terminal(n) {
        return;
    }
    platform::after(0, move || {
        if app.has_terminal(n) {
            return;
        }
        let opened = Terminal::open(
            &format!("terminal-{n}"),
            move |keys| app.act(Command::Type { terminal: n, keys }),
            move |columns, rows| app.act(Command::Resize { terminal: n, size: (columns, rows) }),
        );
        if let Some(t) = opened {
            app.add_terminal(n, t);
            app.act(Command::OpenTerminal { terminal: n, host: host.clone(), size: (100, 24) });
            fit(app);
            // Who opens a terminal, or the page, types next.
            if current(app) == Some(n) {
                app.with_terminal(n, Terminal::focus);
            }
        }
    });
}

/// Opens the first terminal once the cluster runs.
pub fn open_first(app: App) {
    mount(app, 1, String::new());
}

/// Opens another terminal, on a node or (with "") on the workstation.
pub fn open_terminal(app: App, host: &str) {
    let n = app.tabs.with_untracked(|t| {
        t.iter().filter_map(|t| if let Tab::Terminal(n, _) = t { Some(*n) } else { None }).max().unwrap_or(0)
            + 1
    });
    app.tabs.update(|t| t.push(Tab::Terminal(n, host.to_owned())));
    app.tab.set(app.tabs.with_untracked(Vec::len) - 1);
    app.pane.set(Pane::Dock);
    mount(app, n, host.to_owned());
}

fn current(app: App) -> Option<u32> {
    app.tabs.with_untracked(|t| match t.get(app.tab.get_untracked()) {
        Some(Tab::Terminal(n, _)) => Some(*n),
        _ => None,
    })
}

/// Fits the shown terminal to its pane, after layout.
pub fn fit(app: App) {
    platform::after(30, move || {
        if let Some(n) = current(app) {
            app.with_terminal(n, Terminal::fit);
        }
    });
}

/// Gives the keyboard to the first terminal.
pub fn focus_terminal(app: App) {
    if current(app).is_none() {
        app.tab.set(0);
    }
    app.pane.set(Pane::Dock);
    if let Some(n) = current(app) {
        app.with_terminal(n, Terminal::focus);
    }
}

/// Types a line into the first terminal, so that the person sees what a click does.
pub fn type_line(app: App, line: &str) {
    app.tab.set(0);
    app.act(Command::Type { terminal: 1, keys: format!("{line}\r").into_bytes() });
    fit(app);
}
