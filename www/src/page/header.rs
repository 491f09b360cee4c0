//! The top bar: name, clock, sharing, theme.

use super::state::App;
use crate::platform;
use crate::protocol::{Clock, Question};
use leptos::prelude::*;

const SPEEDS: [(f64, &str); 7] =
    [(0.1, "0.1×"), (0.5, "0.5×"), (1.0, "1×"), (2.0, "2×"), (10.0, "10×"), (60.0, "60×"), (300.0, "300×")];

#[component]
pub fn Header() -> impl IntoView {
    let app = App::get();
    let running = Memo::new(move |_| app.clock_view.with(|c| c.running));
    let time = move || app.time_of(app.clock_view.with(|c| c.now));
    let theme = move |_| {
        let next = if app.theme.get_untracked() == "dark" { "light" } else { "dark" };
        platform::set_theme(next);
        app.theme.set(next.to_owned());
    };
    view! {
        <header class="top">
            <h1 class="name"><Logo />"Kubarium"</h1>
            <div class="clock" role="group" aria-label="Clock">
                <button class="icon" title="Go back 30 seconds (b)" aria-label="Go back 30 seconds" on:click=move |_| app.back(30)>
                    <svg viewBox="0 0 16 16" aria-hidden="true"><path d="M8 3v10L2 8zm6 0v10L8 8z" /></svg>
                </button>
                <button
                    class="icon primary"
                    id="run"
                    title="Pause or run (p)"
                    aria-label=move || if running.get() { "Pause" } else { "Run" }
                    on:click=move |_| app.toggle_clock()
                >
                    <svg viewBox="0 0 16 16" aria-hidden="true">
                        <path d=move || if running.get() { "M4 3h3v10H4zm5 0h3v10H9z" } else { "M4 2.5 13 8l-9 5.5z" } />
                    </svg>
                </button>
                <button class="icon" title="Run one event (.)" aria-label="Run one event" on:click=move |_| app.clock(Clock::Step)>
                    <svg viewBox="0 0 16 16" aria-hidden="true"><path d="M3 3l7 5-7 5zm8 0h2v10h-2z" /></svg>
                </button>
                <select
                    aria-label="Speed of the clock"
                    on:change=move |e| {
                        if let Ok(s) = event_target_value(&e).parse() {
                            app.clock(Clock::Speed(s));
                        }
                    }
                >
                    {SPEEDS
                        .iter()
                        .map(|(s, name)| view! { <option value=s.to_string() selected=(*s - 1.0).abs() < 1e-9>{*name}</option> })
                        .collect_view()}
                </select>
                <time class="mono" id="time">{time}</time>
                <Show when=move || app.clock_view.with(|c| c.running && c.behind)>
                    <span class="behind" title="The cluster has more to do than this speed leaves time for">"behind"</span>
                </Show>
            </div>
            <span class="hash mono" id="state-hash" title="Digest of the whole state: equal clusters have equal digests">
                {move || app.clock_view.with(|c| if c.state.is_empty() { String::new() } else { format!("state {}", c.state) })}
            </span>
            <span class="spring"></span>
            <button class="quiet" aria-pressed=move || app.lesson_open.get().to_string() on:click=move |_| {
                app.lesson_open.update(|o| *o = !*o);
                platform::store("lesson-open", if app.lesson_open.get_untracked() { "yes" } else { "no" });
            }>"Lesson"</button>
            <button class="quiet" aria-pressed=move || app.inspector_open.get().to_string()
                on:click=move |_| app.inspector_open.update(|o| *o = !*o)>"Inspector"</button>
            <button id="share" on:click=move |_| app.ask(Question::Link("Kubarium".into()))>"Share"</button>
            <button class="icon" title="Light or dark" aria-label="Light or dark" on:click=theme>
                <svg viewBox="0 0 16 16" aria-hidden="true"><path d="M8 2a6 6 0 1 0 0 12zM8 2a6 6 0 0 1 0 12" fill-rule="evenodd" /></svg>
            </button>
            <button class="icon" title="Keys (?)" aria-label="Keys" on:click=move |_| app.help.set(true)>"?"</button>
        </header>
    }
}

#[component]
fn Logo() -> impl IntoView {
    view! {
        <svg class="logo" viewBox="0 0 24 24" aria-hidden="true">
            <rect x="2" y="4" width="20" height="17" rx="3" class="tank" />
            <path d="M2 10q2.5-2 5 0t5 0 5 0 5 0v8a3 3 0 0 1-3 3H5a3 3 0 0 1-3-3z" class="water" />
            <polygon points="12,11 15.5,13 15.5,17 12,19 8.5,17 8.5,13" class="fish" />
        </svg>
    }
}

/// Copies a link, and shows it where the clipboard refuses.
pub fn offer_link(app: App, text: &str) {
    let address = platform::address_with(&format!("s={text}"));
    app.link.set(address.clone());
    let shown = address.clone();
    platform::copy(&address, move |ok| {
        app.notice.set(Some(if ok {
            format!(
                "The link is in the clipboard ({} characters). It opens this very cluster anywhere.",
                shown.len()
            )
        } else {
            format!("The browser did not let the page copy. Copy the link yourself: {shown}")
        }));
    });
}
