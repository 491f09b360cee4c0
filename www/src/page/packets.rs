//! Packets: what was sent, and its way hop by hop.

use super::state::App;
use crate::protocol::{PacketView, Question};
use leptos::prelude::*;

#[component]
pub fn Packets() -> impl IntoView {
    let app = App::get();
    app.ask(Question::Packets);
    let chosen = move || {
        let id = app.packet.get();
        app.packets.with(|all| all.iter().find(|p| Some(p.id) == id).or(all.first()).cloned())
    };
    view! {
        <div class="packets">
            <ol class="packet-list" aria-label="Packets, newest first">
                <For each=move || app.packets.get() key=|p| (p.id, p.hops.len()) let:p>
                    {entry(app, p)}
                </For>
            </ol>
            <div class="packet-path">
                {move || match chosen() {
                    Some(p) => path(p).into_any(),
                    None => view! {
                        <p class="empty">
                            "No packets yet. Send some: " <code>"kubectl exec POD -- curl -s http://CLUSTER-IP"</code>
                        </p>
                    }.into_any(),
                }}
            </div>
        </div>
    }
}

fn entry(app: App, p: PacketView) -> impl IntoView {
    let id = p.id;
    let dropped = p.hops.last().is_some_and(|h| h.dropped);
    view! {
        <li>
            <button
                class=move || format!("packet{}{}", if dropped { " dropped" } else { "" }, if app.packet.get() == Some(id) { " selected" } else { "" })
                on:click=move |_| app.packet.set(Some(id))
            >
                <span class="mono">{app.time_of(p.at)}</span>
                <span class="packet-title mono">{p.title}</span>
                <span class="verdict">{p.verdict}</span>
            </button>
        </li>
    }
}

fn path(p: PacketView) -> impl IntoView {
    let mut last = String::new();
    let hops = p
        .hops
        .into_iter()
        .map(|h| {
            let fresh = h.namespace != last;
            last.clone_from(&h.namespace);
            view! {
                {fresh.then(|| view! { <li class="hop-ns">{h.namespace.clone()}</li> })}
                <li class=if h.dropped { "hop dropped" } else { "hop" }>
                    <span class="hop-place">{h.place}</span>
                    <span class="hop-text mono">{h.text}</span>
                    {(!h.rewrite.is_empty()).then(|| view! { <span class="hop-rewrite mono">{h.rewrite.clone()}</span> })}
                </li>
            }
        })
        .collect_view();
    view! {
        <h2 class="mono">{p.title}</h2>
        <p class="verdict">{p.verdict}</p>
        <ol class="hops">{hops}</ol>
    }
}
