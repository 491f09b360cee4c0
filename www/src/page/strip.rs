//! The timeline strip: events over time, commands, checkpoints; click to go back.

use super::state::App;
use crate::protocol::Clock;
use leptos::prelude::*;
use sim::Instant;

const BARS: usize = 120;

#[component]
pub fn Strip() -> impl IntoView {
    let app = App::get();
    let span = Memo::new(move |_| {
        // Whole tens of seconds, so that the strip moves seldom.
        app.clock_view.with(|c| (c.now.secs() / 10 + 1) * 10)
    });
    let bars = Memo::new(move |_| {
        let span = span.get() as f64;
        let mut counts = [0usize; BARS];
        app.events.with(|all| {
            for e in all {
                let i = (e.at.secs() as f64 / span * BARS as f64) as usize;
                counts[i.min(BARS - 1)] += 1;
            }
        });
        counts.to_vec()
    });
    let position = move || app.clock_view.with(|c| c.now.millis() as f64 / 10.0 / span.get() as f64);
    let go = move |percent: f64| {
        let ms = percent / 100.0 * span.get_untracked() as f64 * 1000.0;
        app.clock(Clock::GoTo(Instant::from_millis(ms.max(0.0) as u64)));
    };
    view! {
        <footer class="strip" aria-label="Timeline">
            <svg viewBox="0 0 1200 28" preserveAspectRatio="none" aria-hidden="true">
                {move || {
                    let max = bars.with(|b| b.iter().copied().max().unwrap_or(1).max(1));
                    bars.get()
                        .into_iter()
                        .enumerate()
                        .filter(|(_, n)| *n > 0)
                        .map(|(i, n)| {
                            let h = 4.0 + 18.0 * n as f64 / max as f64;
                            view! { <rect class="bar" x=i as f64 * 10.0 + 1.0 y=26.0 - h width="8" height=h rx="1" /> }
                        })
                        .collect_view()
                }}
                {move || {
                    let span = span.get() as f64;
                    let marks = app.clock_view.with(|c| c.commands.iter().rev().take(200).copied().collect::<Vec<_>>());
                    marks
                        .into_iter()
                        .map(|t| {
                            let x = t.millis() as f64 / 1000.0 / span * 1200.0;
                            view! { <rect class="command" x=x y="0" width="1.5" height="5" /> }
                        })
                        .collect_view()
                }}
            </svg>
            <input
                type="range"
                min="0"
                max="100"
                step="0.1"
                aria-label="Time: move to go back"
                prop:value=move || position().to_string()
                on:change=move |e| {
                    if let Ok(p) = event_target_value(&e).parse::<f64>() {
                        go(p);
                    }
                }
            />
            <span class="strip-time mono">{move || app.clock_view.with(|c| format!("{} s", c.now.secs()))}</span>
        </footer>
    }
}
