//! Lists: all objects, all events.

use super::icons::mark;
use super::state::App;
use cluster::view::{Id, ObjectView};
use leptos::prelude::*;

#[component]
pub fn Objects() -> impl IntoView {
    let app = App::get();
    let filter = RwSignal::new(String::new());
    let rows = Memo::new(move |_| {
        let f = filter.get().to_lowercase();
        app.objects.with(|all| {
            let mut rows: Vec<ObjectView> = all
                .values()
                .filter(|o| {
                    f.is_empty()
                        || format!("{} {} {}", o.kind, o.id.namespace, o.id.name).to_lowercase().contains(&f)
                })
                .take(400)
                .cloned()
                .collect();
            rows.sort_by(|a, b| (&a.kind, &a.id).cmp(&(&b.kind, &b.id)));
            rows
        })
    });
    view! {
        <div class="filter">
            <label for="filter">"Filter"</label>
            <input id="filter" type="search" placeholder="kind, namespace or name" on:input=move |e| filter.set(event_target_value(&e)) />
        </div>
        <table class="grid">
            <thead><tr><th scope="col">"Kind"</th><th scope="col">"Namespace"</th><th scope="col">"Name"</th><th scope="col">"Status"</th><th scope="col">"Age"</th></tr></thead>
            <tbody>
                <For each=move || rows.get() key=|o| o.clone() let:o>
                    {row(app, o)}
                </For>
            </tbody>
        </table>
        <Show when=move || rows.with(Vec::is_empty)>
            <p class="empty">"Nothing matches. Clear the filter to see all objects."</p>
        </Show>
    }
}

fn row(app: App, o: ObjectView) -> impl IntoView {
    let id = o.id.clone();
    let created = o.created_s;
    view! {
        <tr>
            <td>{o.kind}</td>
            <td>{o.id.namespace.clone()}</td>
            <td><button class="linkish" on:click=move |_| app.select(Some(id.clone()))>{o.id.name.clone()}</button></td>
            <td>{mark(o.state)}" "{o.status}</td>
            <td class="num">{move || app.age(created)}</td>
        </tr>
    }
}

#[component]
pub fn Events() -> impl IntoView {
    let app = App::get();
    let rows = move || app.events.with(|all| all.iter().rev().take(300).cloned().collect::<Vec<_>>());
    view! {
        <table class="grid events">
            <thead><tr><th scope="col">"Time"</th><th scope="col">"Type"</th><th scope="col">"Reason"</th><th scope="col">"Object"</th><th scope="col">"Message"</th></tr></thead>
            <tbody>
                <For each=rows key=|e| (e.namespace.clone(), e.name.clone(), e.count) let:e>
                    {
                        let object = e.object.clone();
                        let namespace = e.namespace.clone();
                        let class = if e.kind == "Warning" { "warning" } else { "" };
                        view! {
                            <tr class=class>
                                <td class="mono num">{app.time_of(e.at)}</td>
                                <td>{e.kind}</td>
                                <td>{e.reason}</td>
                                <td><button class="linkish" on:click=move |_| app.select(object_id(&object, &namespace))>{e.object}</button></td>
                                <td>{e.message}{(e.count > 1).then(|| format!(" (×{})", e.count))}</td>
                            </tr>
                        }
                    }
                </For>
            </tbody>
        </table>
        <Show when=move || app.events.with(Vec::is_empty)>
            <p class="empty">"No events yet. Create something and the cluster tells what it does here."</p>
        </Show>
    }
}

/// The name of the object that an event is about.
fn object_id(object: &str, namespace: &str) -> Option<Id> {
    let (kind, name) = object.split_once('/')?;
    let app = App::get();
    app.objects.with_untracked(|all| {
        all.values()
            .find(|o| {
                o.kind == kind
                    && o.id.name == name
                    && (o.id.namespace.is_empty() || o.id.namespace == namespace)
            })
            .map(|o| o.id.clone())
    })
}
