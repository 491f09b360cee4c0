//! Shapes: a state has one colour, one shape and one word everywhere.

use cluster::view::State;
use leptos::prelude::*;

/// Class and word of a state.
pub fn state_class(s: State) -> (&'static str, &'static str) {
    match s {
        State::None => ("s-none", "done"),
        State::Running => ("s-running", "running"),
        State::Pending => ("s-pending", "pending"),
        State::Terminating => ("s-terminating", "terminating"),
        State::Failed => ("s-failed", "failed"),
        State::Unknown => ("s-unknown", "unknown"),
    }
}

/// A small mark for a state: its shape differs as its colour does.
pub fn mark(s: State) -> impl IntoView {
    let (class, _) = state_class(s);
    let shape = match s {
        State::Running => view! { <circle cx="6" cy="6" r="4.5" /> }.into_any(),
        State::Pending => view! { <path d="M6 1.5a4.5 4.5 0 1 0 4.5 4.5H6z" /> }.into_any(),
        State::Terminating => {
            view! { <path fill-rule="evenodd" d="M6 1.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zm0 2.5a2 2 0 1 1 0 4 2 2 0 0 1 0-4z" /> }
                .into_any()
        }
        State::Failed => view! { <path d="M6 1.2 11 10.5H1z" /> }.into_any(),
        State::Unknown => view! { <path d="M6 1 11 6 6 11 1 6z" /> }.into_any(),
        State::None => view! { <rect x="2" y="5" width="8" height="2" rx="1" /> }.into_any(),
    };
    view! { <svg class=format!("mark {class}") viewBox="0 0 12 12" aria-hidden="true">{shape}</svg> }
}

/// A hexagon of radius `r` around a point, as SVG points.
pub fn hexagon(x: f64, y: f64, r: f64) -> String {
    // Flat left and right sides: cos and sin of 30° steps as constants.
    const C: f64 = 0.866_025_403_784_438_6;
    [(0.0, -1.0), (C, -0.5), (C, 0.5), (0.0, 1.0), (-C, 0.5), (-C, -0.5)]
        .iter()
        .map(|(dx, dy)| format!("{:.1},{:.1}", x + dx * r, y + dy * r))
        .collect::<Vec<_>>()
        .join(" ")
}
