//! The page: panes around one store that frames from the worker fill.

mod dock;
mod editor;
mod header;
mod icons;
mod inspector;
mod lesson;
mod lists;
mod packets;
mod state;
mod strip;
mod topology;

use crate::platform;
use crate::protocol::{Clock, From};
use leptos::prelude::*;
use state::{App, Pane, Stage};

/// Mounts the page.
pub fn start() {
    console_error_panic_hook::set_once();
    let theme = platform::stored("theme")
        .unwrap_or_else(|| if platform::prefers_dark() { "dark" } else { "light" }.into());
    platform::set_theme(&theme);
    leptos::mount::mount_to_body(move || view! { <Page theme=theme.clone() /> });
}

#[component]
fn Page(theme: String) -> impl IntoView {
    let app = App::new(theme);
    provide_context(app);
    app.connect(start_from());
    keys(app);
    lesson::follow_stored(app);
    let layout = move || {
        let mut c = String::from("panes");
        if !app.lesson_open.get() {
            c.push_str(" no-lesson");
        }
        if !app.inspector_open.get() {
            c.push_str(" no-inspector");
        }
        format!("{c} show-{}", app.pane.get().name())
    };
    view! {
        <a class="skip" href="#stage">"Skip to the cluster"</a>
        <header::Header />
        <main class=layout>
            <Show when=move || app.lesson_open.get()>
                <section class="pane lesson" aria-label="Lesson"><lesson::LessonPane /></section>
            </Show>
            <section class="pane stage" id="stage" aria-label="Cluster" tabindex="-1">
                <StageTabs />
                <div class="stage-body" id="stage-body">
                    {move || match app.stage.get() {
                        Stage::Topology => view! { <topology::Topology /> }.into_any(),
                        Stage::Packets => view! { <packets::Packets /> }.into_any(),
                        Stage::Objects => view! { <lists::Objects /> }.into_any(),
                        Stage::Events => view! { <lists::Events /> }.into_any(),
                    }}
                </div>
            </section>
            <Show when=move || app.inspector_open.get()>
                <section class="pane inspector" aria-label="Inspector"><inspector::Inspector /></section>
            </Show>
            <section class="pane dock" aria-label="Terminals and files"><dock::Dock /></section>
        </main>
        <strip::Strip />
        <BottomBar />
        <Notices />
    }
}

fn start_from() -> From {
    let fragment = platform::fragment();
    if let Some(link) = fragment.strip_prefix("s=") {
        return From::Link(link.to_owned());
    }
    if let Some(n) = fragment.strip_prefix("fake=").and_then(|n| n.parse().ok()) {
        return From::Fake(n);
    }
    From::Fresh
}

/// Keys outside of text fields. What each does is also a button.
fn keys(app: App) {
    platform::on_key(move |key, ctrl, typing| {
        if ctrl && key == "k" {
            app.help.update(|h| *h = !*h);
            return true;
        }
        if key == "F6" {
            // Tab belongs to the shell, so this is the way out of a terminal, and back.
            if typing {
                platform::focus("stage");
            } else {
                dock::focus_terminal(app);
            }
            return true;
        }
        if key == "Escape" && (app.help.get_untracked() || app.notice.get_untracked().is_some()) {
            app.help.set(false);
            app.notice.set(None);
            return true;
        }
        if typing || ctrl {
            return false;
        }
        match key {
            "p" => app.toggle_clock(),
            "." => app.clock(Clock::Step),
            "b" => app.back(30),
            "1" => app.stage.set(Stage::Topology),
            "2" => app.stage.set(Stage::Packets),
            "3" => app.stage.set(Stage::Objects),
            "4" => app.stage.set(Stage::Events),
            "l" => app.lesson_open.update(|o| *o = !*o),
            "i" => app.inspector_open.update(|o| *o = !*o),
            "t" => dock::focus_terminal(app),
            "?" => app.help.set(true),
            _ => return false,
        }
        true
    });
}

#[component]
fn StageTabs() -> impl IntoView {
    let app = App::get();
    let tabs = [
        (Stage::Topology, "Topology"),
        (Stage::Packets, "Packets"),
        (Stage::Objects, "Objects"),
        (Stage::Events, "Events"),
    ];
    view! {
        <div class="tabs" role="tablist" aria-label="Views of the cluster">
            {tabs
                .into_iter()
                .map(|(s, name)| {
                    view! {
                        <button
                            role="tab"
                            class="tab"
                            aria-selected=move || (app.stage.get() == s).to_string()
                            on:click=move |_| app.stage.set(s)
                        >
                            {name}
                        </button>
                    }
                })
                .collect_view()}
            <span class="tabs-space"></span>
            <span class="counts">{move || app.summary()}</span>
        </div>
    }
}

/// The bar that takes the place of side-by-side panes on narrow screens.
#[component]
fn BottomBar() -> impl IntoView {
    let app = App::get();
    let items = [
        (Pane::Lesson, "Lesson"),
        (Pane::Stage, "Stage"),
        (Pane::Dock, "Terminal"),
        (Pane::Inspector, "Inspector"),
    ];
    view! {
        <nav class="bottom-bar" aria-label="Panes">
            {items
                .into_iter()
                .map(|(p, name)| {
                    view! {
                        <button
                            aria-pressed=move || (app.pane.get() == p).to_string()
                            on:click=move |_| {
                                if p == Pane::Lesson {
                                    app.lesson_open.set(true);
                                }
                                if p == Pane::Inspector {
                                    app.inspector_open.set(true);
                                }
                                app.pane.set(p);
                                dock::fit(app);
                            }
                        >
                            {name}
                        </button>
                    }
                })
                .collect_view()}
        </nav>
    }
}

#[component]
fn Notices() -> impl IntoView {
    let app = App::get();
    view! {
        <div class="notices" role="status" aria-live="polite">
            {move || {
                app.notice
                    .get()
                    .map(|text| {
                        view! {
                            <div class="notice">
                                <p>{text}</p>
                                <button class="quiet" on:click=move |_| app.notice.set(None) aria-label="Close this message">
                                    "Close"
                                </button>
                            </div>
                        }
                    })
            }}
        </div>
        <Show when=move || app.help.get()>
            <div class="veil" on:click=move |_| app.help.set(false)>
                <div class="help" role="dialog" aria-modal="true" aria-label="Keys" on:click=|e| e.stop_propagation()>
                    <h2>"Keys"</h2>
                    <dl>
                        {KEYS
                            .iter()
                            .map(|(k, what)| view! { <dt><kbd>{*k}</kbd></dt><dd>{*what}</dd> })
                            .collect_view()}
                    </dl>
                    <button on:click=move |_| app.help.set(false)>"Close"</button>
                </div>
            </div>
        </Show>
    }
}

const KEYS: &[(&str, &str)] = &[
    ("p", "Pause or run the clock"),
    (".", "Run one event"),
    ("b", "Go back 30 seconds"),
    ("1 2 3 4", "Topology, packets, objects, events"),
    ("t", "To the terminal"),
    ("l", "Lesson pane"),
    ("i", "Inspector pane"),
    ("?", "This list"),
    ("F6", "From a terminal to the cluster and back"),
    ("Esc", "Close"),
];
