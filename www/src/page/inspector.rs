//! The inspector: one object in full, and why it is as it is.

use super::icons::{mark, state_class};
use super::state::App;
use cluster::Command;
use cluster::view::{Detail, ObjectView};
use leptos::prelude::*;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Summary,
    Yaml,
    Events,
    Why,
}

#[component]
pub fn Inspector() -> impl IntoView {
    let app = App::get();
    let section = RwSignal::new(Section::Summary);
    let tabs = [
        (Section::Summary, "Summary"),
        (Section::Yaml, "YAML"),
        (Section::Events, "Events"),
        (Section::Why, "Why?"),
    ];
    let object = Memo::new(move |_| {
        app.selected.with(|s| s.as_ref().and_then(|id| app.objects.with(|all| all.get(id).cloned())))
    });
    view! {
        <div class="tabs">
            <div class="tab-list" role="tablist" aria-label="About the selected object">
            {tabs
                .into_iter()
                .map(|(s, name)| {
                    view! {
                        <button role="tab" class="tab" aria-selected=move || (section.get() == s).to_string() on:click=move |_| section.set(s)>
                            {name}
                        </button>
                    }
                })
                .collect_view()}
            </div>
            <span class="tabs-space"></span>
            <button class="icon" aria-label="Close the inspector" on:click=move |_| app.inspector_open.set(false)>"×"</button>
        </div>
        <div class="inspector-body">
            {move || match app.selected.get() {
                None => view! {
                    <p class="empty">"Select a node, pod or service in the drawing, or a name in a list, to see all about it."</p>
                }.into_any(),
                Some(id) => {
                    let detail = move || app.detail.get().filter(|d| Some(&d.id) == app.selected.get().as_ref()).unwrap_or_default();
                    view! {
                        <h2>{id.resource.split('.').next().unwrap_or_default().to_owned()}" / "<b>{id.name.clone()}</b></h2>
                        {move || match section.get() {
                            Section::Summary => object.get().map(|o| summary(app, o).into_any()).unwrap_or_else(|| gone().into_any()),
                            Section::Yaml => view! { <pre class="yaml mono" tabindex="0">{detail().yaml}</pre> }.into_any(),
                            Section::Events => events(app, detail()).into_any(),
                            Section::Why => why(app, detail()).into_any(),
                        }}
                    }.into_any()
                }
            }}
        </div>
    }
}

fn gone() -> impl IntoView {
    view! { <p class="empty">"It is gone. Go back in time to see it again."</p> }
}

fn pairs(name: &'static str, all: Vec<(String, String)>) -> impl IntoView {
    (!all.is_empty()).then(|| {
        view! {
            <h3>{name}</h3>
            <dl class="pairs">
                {all.into_iter().map(|(k, v)| view! { <dt>{k}</dt><dd class="mono">{v}</dd> }).collect_view()}
            </dl>
        }
    })
}

fn summary(app: App, o: ObjectView) -> impl IntoView {
    let (class, word) = state_class(o.state);
    let mut facts = vec![];
    if !o.id.namespace.is_empty() {
        facts.push(("namespace".to_owned(), o.id.namespace.clone()));
    }
    for (k, v) in [("node", &o.node), ("address", &o.ip)] {
        if !v.is_empty() {
            facts.push((k.to_owned(), v.clone()));
        }
    }
    facts.extend(o.facts.iter().filter(|f| !f.1.is_empty()).cloned());
    let created = o.created_s;
    let containers = o
        .containers
        .iter()
        .map(|c| {
            view! {
                <li>{mark(c.state)}" "<b>{c.name.clone()}</b>" "<span class="mono">{c.image.clone()}</span>" "{c.reason.clone()}
                    {(c.restarts > 0).then(|| format!(", {} restarts", c.restarts))}</li>
            }
        })
        .collect_view();
    let has_containers = !o.containers.is_empty();
    view! {
        <p class=format!("state {class}")>{mark(o.state)}" "{if o.status.is_empty() { word.to_owned() } else { o.status.clone() }}
            <span class="sub">" · "{move || app.age(created)}" old"</span></p>
        <Actions object=o.clone() />
        {has_containers.then(|| view! { <h3>"Containers"</h3><ul class="plain">{containers}</ul> })}
        {pairs("Facts", facts)}
        {pairs("Labels", o.labels.clone())}
        {pairs("Selector", o.selector.clone())}
    }
}

/// What can be done with it, each with the line that does the same.
#[component]
fn Actions(object: ObjectView) -> impl IntoView {
    let app = App::get();
    let id = object.id.clone();
    let short = id.resource.split('.').next().unwrap_or_default().trim_end_matches('s').to_owned();
    let ns = if id.namespace.is_empty() || id.namespace == "default" {
        String::new()
    } else {
        format!(" -n {}", id.namespace)
    };
    let mut lines: Vec<(String, String)> =
        vec![("Describe".into(), format!("kubectl describe {short} {}{ns}", id.name))];
    if !matches!(object.kind.as_str(), "Node" | "Namespace") {
        lines.push(("Delete".into(), format!("kubectl delete {short} {}{ns}", id.name)));
    }
    if object.kind == "Pod" {
        lines.push(("Logs".into(), format!("kubectl logs {}{ns}", id.name)));
    }
    if matches!(object.kind.as_str(), "Deployment" | "ReplicaSet" | "StatefulSet") {
        let n = object.ready.1 + 1;
        lines
            .push((format!("Scale to {n}"), format!("kubectl scale {short} {}{ns} --replicas={n}", id.name)));
    }
    let node = (object.kind == "Node").then(|| id.name.clone());
    view! {
        <ul class="actions">
            {lines
                .into_iter()
                .map(|(name, line)| {
                    let typed = line.clone();
                    view! {
                        <li>
                            <button on:click=move |_| super::dock::type_line(app, &typed)>{name}</button>
                            <code>{line}</code>
                        </li>
                    }
                })
                .collect_view()}
            {node.map(|n| {
                let (off, on, shell) = (n.clone(), n.clone(), n);
                view! {
                    <li><button on:click=move |_| app.act(Command::SetPower { node: off.clone(), on: false })>"Power off"</button>
                        <button on:click=move |_| app.act(Command::SetPower { node: on.clone(), on: true })>"Power on"</button>
                        <button on:click=move |_| super::dock::open_terminal(app, &shell)>"Open a shell"</button></li>
                }
            })}
        </ul>
    }
}

fn events(app: App, d: Detail) -> impl IntoView {
    if d.events.is_empty() {
        return view! { <p class="empty">"No events about it."</p> }.into_any();
    }
    let rows = d
        .events
        .into_iter()
        .rev()
        .map(|e| {
            view! {
                <li class=if e.kind == "Warning" { "warning" } else { "" }>
                    <span class="mono">{app.time_of(e.at)}</span>" "<b>{e.reason}</b>" "{e.message}
                    <span class="sub">" "{e.source}{(e.count > 1).then(|| format!(", ×{}", e.count))}</span>
                </li>
            }
        })
        .collect_view();
    view! { <ul class="plain">{rows}</ul> }.into_any()
}

fn why(app: App, d: Detail) -> impl IntoView {
    let causes = d
        .causes
        .into_iter()
        .map(|c| {
            view! {
                <li><span class="mono">{app.time_of(c.at)}</span>" "<b>{c.actor}</b>" "{c.text}" "<span class="mono">{c.subject}</span></li>
            }
        })
        .collect_view();
    let verdict = d.verdict.map(|v| {
        let rows = v
            .nodes
            .iter()
            .map(|(node, why, scores, total)| {
                let detail = if why.is_empty() {
                    scores.iter().map(|(p, s)| format!("{p} {s}")).collect::<Vec<_>>().join(", ")
                } else {
                    why.clone()
                };
                view! {
                    <tr class=if *node == v.chosen { "chosen" } else { "" }>
                        <td>{node.clone()}</td><td class="num">{if why.is_empty() { total.to_string() } else { "—".into() }}</td><td>{detail}</td>
                    </tr>
                }
            })
            .collect_view();
        view! {
            <h3>"Why this node?"</h3>
            <p>{if v.chosen.is_empty() { v.message.clone() } else { format!("Chosen: {}", v.chosen) }}</p>
            <table class="grid"><thead><tr><th scope="col">"Node"</th><th scope="col">"Score"</th><th scope="col">"Why"</th></tr></thead><tbody>{rows}</tbody></table>
        }
    });
    view! {
        <h3>"What led to its last change"</h3>
        <ol class="plain causes">{causes}</ol>
        {verdict}
    }
}
