//! The drawing of the cluster: services, workloads, nodes with their pods, and what belongs to what.

use super::icons::{hexagon, state_class};
use super::state::App;
use crate::platform;
use cluster::view::{Id, ObjectView, State};
use leptos::prelude::*;
use std::collections::BTreeMap;

const POD: f64 = 26.0;
const CELL_W: f64 = 92.0;
const CELL_H: f64 = 84.0;
const HEAD: f64 = 44.0;
const GAP: f64 = 16.0;
const CHIP_H: f64 = 30.0;

#[derive(Clone, PartialEq)]
struct Placed {
    object: ObjectView,
    x: f64,
    y: f64,
    w: f64,
    h: f64,
}

/// Where everything is.
#[derive(Clone, PartialEq, Default)]
struct Drawing {
    width: f64,
    height: f64,
    nodes: Vec<Placed>,
    pods: Vec<Placed>,
    chips: Vec<Placed>,
    labels: Vec<(f64, f64, String)>,
    /// From, to, whether it is about the selected thing.
    lines: Vec<((f64, f64), (f64, f64), bool)>,
}

fn matches(selector: &[(String, String)], labels: &[(String, String)]) -> bool {
    !selector.is_empty() && selector.iter().all(|s| labels.contains(s))
}

fn chips(d: &mut Drawing, title: &str, all: Vec<&ObjectView>, y: &mut f64) {
    if all.is_empty() {
        return;
    }
    d.labels.push((GAP, *y + 10.0, title.to_owned()));
    *y += 18.0;
    let mut x = GAP;
    for o in all {
        let kind = 7.0 * short_kind(&o.kind).len() as f64;
        let more = if o.ip.is_empty() { 44.0 } else { 16.0 + 7.0 * o.ip.len() as f64 };
        let w = 28.0 + kind + 8.2 * (o.id.name.len().min(28) as f64) + more;
        if x + w > d.width - GAP && x > GAP {
            x = GAP;
            *y += CHIP_H + 8.0;
        }
        d.chips.push(Placed { object: o.clone(), x, y: *y, w, h: CHIP_H });
        x += w + 10.0;
    }
    *y += CHIP_H + GAP;
}

fn draw(objects: &BTreeMap<Id, ObjectView>, width: f64, selected: Option<&Id>) -> Drawing {
    let mut d = Drawing { width: width.max(320.0), ..Drawing::default() };
    let of = |kinds: &[&str]| -> Vec<&ObjectView> {
        objects
            .values()
            .filter(|o| kinds.contains(&o.kind.as_str()) && o.id.namespace != "kube-system")
            .collect()
    };
    let mut y = GAP;
    let workloads = of(&["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"]);
    let sets: Vec<&ObjectView> = of(&["ReplicaSet", "ReplicationController"])
        .into_iter()
        .filter(|s| s.ready.1 > 0 || s.ready.0 > 0 || s.owner.is_empty())
        .collect();
    chips(&mut d, "Services", of(&["Service"]), &mut y);
    chips(&mut d, "Workloads", workloads.into_iter().chain(sets).collect(), &mut y);
    let nodes: Vec<&ObjectView> = objects.values().filter(|o| o.kind == "Node").collect();
    let pods: Vec<&ObjectView> = objects.values().filter(|o| o.kind == "Pod").collect();
    let waiting: Vec<&ObjectView> = pods.iter().filter(|p| p.node.is_empty()).copied().collect();
    if !waiting.is_empty() {
        d.labels.push((GAP, y + 10.0, "Not scheduled".into()));
        y += 18.0;
        y = place_pods(&mut d, &waiting, GAP, y, width - 2.0 * GAP) + GAP;
    }
    let columns = ((d.width - GAP) / (300.0 + GAP)).floor().clamp(1.0, nodes.len().max(1) as f64);
    let w = (d.width - GAP) / columns - GAP;
    let mut row_y = y;
    for row in nodes.chunks(columns as usize) {
        let mut bottom = row_y + HEAD + CELL_H + 10.0;
        let first = d.nodes.len();
        for (i, n) in row.iter().enumerate() {
            let x = GAP + i as f64 * (w + GAP);
            let mine: Vec<&ObjectView> = pods.iter().filter(|p| p.node == n.id.name).copied().collect();
            let end = place_pods(&mut d, &mine, x + 8.0, row_y + HEAD, w - 16.0);
            bottom = bottom.max(end);
            d.nodes.push(Placed { object: (*n).clone(), x, y: row_y, w, h: 0.0 });
        }
        for n in &mut d.nodes[first..] {
            n.h = bottom - row_y;
        }
        row_y = bottom + GAP;
    }
    d.height = row_y;
    connect(&mut d, selected);
    d
}

fn place_pods(d: &mut Drawing, pods: &[&ObjectView], x: f64, y: f64, w: f64) -> f64 {
    let per_row = (w / CELL_W).floor().max(1.0) as usize;
    for (i, p) in pods.iter().enumerate() {
        let (col, row) = ((i % per_row) as f64, (i / per_row) as f64);
        d.pods.push(Placed {
            object: (*p).clone(),
            x: x + col * CELL_W + CELL_W / 2.0,
            y: y + row * CELL_H + POD + 6.0,
            w: CELL_W,
            h: CELL_H,
        });
    }
    y + (pods.len().div_ceil(per_row)).max(1) as f64 * CELL_H + 10.0
}

/// Lines from services and owners to pods: faint, and strong for what is selected.
fn connect(d: &mut Drawing, selected: Option<&Id>) {
    let mut lines = Vec::new();
    for c in &d.chips {
        let chosen = selected == Some(&c.object.id);
        let from = (c.x + c.w / 2.0, c.y + c.h);
        for p in &d.pods {
            let pod_chosen = selected == Some(&p.object.id);
            let related = if c.object.kind == "Service" {
                p.object.id.namespace == c.object.id.namespace
                    && matches(&c.object.selector, &p.object.labels)
            } else {
                p.object.owner == c.object.uid
                    || d.chips
                        .iter()
                        .any(|s| s.object.uid == p.object.owner && s.object.owner == c.object.uid)
            };
            if related && (chosen || pod_chosen) {
                lines.push((from, (p.x, p.y - POD), true));
            }
        }
    }
    d.lines = lines;
}

#[component]
pub fn Topology() -> impl IntoView {
    let app = App::get();
    let width = RwSignal::new(800.0);
    let measure = move || {
        let (w, _) = platform::size_of("stage-body");
        if w > 0.0 {
            width.set(w - 2.0);
        }
    };
    platform::on_resize(move || {
        // The stage may be gone when the window changes.
        let (w, _) = platform::size_of("stage-body");
        if w > 0.0 {
            let _ = width.try_set(w - 2.0);
        }
    });
    Effect::new(move |_| {
        app.lesson_open.track();
        app.inspector_open.track();
        app.pane.track();
        platform::after(0, measure);
    });
    let drawing =
        Memo::new(move |_| app.objects.with(|o| app.selected.with(|s| draw(o, width.get(), s.as_ref()))));
    let empty = move || drawing.with(|d| d.nodes.is_empty());
    view! {
        <Show when=empty>
            <p class="empty">
                {move || if app.started.get() { "No nodes yet. They register in a moment." } else { "The cluster is starting." }}
            </p>
        </Show>
        <svg
            class="topology"
            viewBox=move || drawing.with(|d| format!("0 0 {} {}", d.width, d.height.max(60.0)))
            width=move || drawing.with(|d| d.width)
            height=move || drawing.with(|d| d.height.max(60.0))
            role="group"
            aria-label="Topology of the cluster"
        >
            {move || {
                drawing.with(|d| {
                    d.labels.iter().map(|(x, y, t)| view! { <text class="label" x=*x y=*y>{t.clone()}</text> }).collect_view()
                })
            }}
            <For each=move || drawing.with(|d| d.nodes.clone()) key=|n| (n.object.clone(), n.x as i64, n.y as i64, n.w as i64, n.h as i64) let:n>
                {node(app, n)}
            </For>
            {move || {
                drawing.with(|d| {
                    d.lines
                        .iter()
                        .map(|((x1, y1), (x2, y2), strong)| {
                            let mid = (y1 + y2) / 2.0;
                            view! {
                                <path
                                    class=if *strong { "line strong" } else { "line" }
                                    d=format!("M{x1:.1} {y1:.1}C{x1:.1} {mid:.1} {x2:.1} {mid:.1} {x2:.1} {y2:.1}")
                                />
                            }
                        })
                        .collect_view()
                })
            }}
            <For each=move || drawing.with(|d| d.chips.clone()) key=|c| (c.object.clone(), c.x as i64, c.y as i64) let:c>
                {chip(app, c)}
            </For>
            <For each=move || drawing.with(|d| d.pods.clone()) key=|p| (p.object.clone(), p.x as i64, p.y as i64) let:p>
                {pod(app, p)}
            </For>
        </svg>
    }
}

fn is_selected(app: App, id: &Id) -> bool {
    app.selected.with(|s| s.as_ref() == Some(id))
}

/// Attributes that make a drawn thing a button.
fn choose(app: App, id: Id) -> impl Fn() + Clone + 'static {
    move || app.select(Some(id.clone()))
}

fn on_enter(f: impl Fn() + 'static) -> impl Fn(leptos::ev::KeyboardEvent) {
    move |e| {
        if e.key() == "Enter" || e.key() == " " {
            e.prevent_default();
            f();
        }
    }
}

fn node(app: App, n: Placed) -> impl IntoView {
    let o = n.object;
    let (class, _) = state_class(o.state);
    let id = o.id.clone();
    let go = choose(app, o.id.clone());
    let go_key = go.clone();
    let label = format!("Node {}, {}, {}", o.id.name, o.status, o.ip);
    view! {
        <g
            class=move || format!("node {class}{}", if is_selected(app, &id) { " selected" } else { "" })
            role="button"
            tabindex="0"
            on:click=move |_| go()
            on:keydown=on_enter(go_key)
        >
            {leptos::svg::title().child(label)}
            <rect x=n.x y=n.y width=n.w height=n.h rx="6" />
            <circle class="dot" cx=n.x + 14.0 cy=n.y + 16.0 r="4.5" />
            <text class="title" x=n.x + 26.0 y=n.y + 20.0>{o.id.name.clone()}</text>
            <text class="sub" x=n.x + 26.0 y=n.y + 35.0>{format!("{} · {}", o.status, o.ip)}</text>
        </g>
    }
}

/// The kind as kubectl abbreviates it.
fn short_kind(kind: &str) -> &'static str {
    match kind {
        "Service" => "svc",
        "Deployment" => "deploy",
        "ReplicaSet" => "rs",
        "StatefulSet" => "sts",
        "DaemonSet" => "ds",
        "ReplicationController" => "rc",
        "CronJob" => "cj",
        _ => "job",
    }
}

fn short(name: &str, max: usize) -> String {
    let n = name.chars().count();
    if n <= max {
        name.to_owned()
    } else {
        format!("…{}", name.chars().skip(n - max + 1).collect::<String>())
    }
}

fn pod(app: App, p: Placed) -> impl IntoView {
    let o = p.object;
    let (class, _) = state_class(o.state);
    let id = o.id.clone();
    let go = choose(app, o.id.clone());
    let go_key = go.clone();
    let label = format!(
        "Pod {} in {}, {}, ready {} of {}",
        o.id.name, o.id.namespace, o.status, o.ready.0, o.ready.1
    );
    let system = if o.id.namespace.starts_with("kube-") { " system" } else { "" };
    let n = o.containers.len().max(1) as f64;
    let squares = o
        .containers
        .iter()
        .enumerate()
        .map(|(i, c)| {
            let (class, _) = state_class(c.state);
            let size = 9.0;
            let x = p.x + (i as f64 - (n - 1.0) / 2.0) * (size + 3.0) - size / 2.0;
            view! { <rect class=format!("container {class}") x=x y=p.y - size / 2.0 width=size height=size rx="1.5" /> }
        })
        .collect_view();
    let status = if o.state == State::Running { o.ip.clone() } else { o.status.clone() };
    view! {
        <g
            class=move || format!("pod {class}{system}{}", if is_selected(app, &id) { " selected" } else { "" })
            role="button"
            tabindex="0"
            on:click=move |e| {
                e.stop_propagation();
                go()
            }
            on:keydown=on_enter(go_key)
        >
            {leptos::svg::title().child(label)}
            <polygon points=hexagon(p.x, p.y, POD) />
            {squares}
            <text class="pod-name" x=p.x y=p.y + POD + 13.0>{short(&o.id.name, 13)}</text>
            <text class="pod-status" x=p.x y=p.y + POD + 26.0>{status}</text>
        </g>
    }
}

fn chip(app: App, c: Placed) -> impl IntoView {
    let o = c.object;
    let (class, _) = state_class(o.state);
    let id = o.id.clone();
    let go = choose(app, o.id.clone());
    let go_key = go.clone();
    let service = o.kind == "Service";
    let short_kind = short_kind(&o.kind);
    let more = if service { o.ip.clone() } else { format!("{}/{}", o.ready.0, o.ready.1) };
    let label = format!("{} {} {}", o.kind, o.id.name, more);
    view! {
        <g
            class=move || format!("chip {class}{}", if is_selected(app, &id) { " selected" } else { "" })
            role="button"
            tabindex="0"
            on:click=move |_| go()
            on:keydown=on_enter(go_key)
        >
            {leptos::svg::title().child(label)}
            <rect x=c.x y=c.y width=c.w height=c.h rx=if service { c.h / 2.0 } else { 6.0 } />
            <text class="kind" x=c.x + 12.0 y=c.y + 19.5>{short_kind}</text>
            <text class="title" x=c.x + 16.0 + 7.0 * short_kind.len() as f64 y=c.y + 19.5>{short(&o.id.name, 28)}</text>
            <text class="more" x=c.x + c.w - 12.0 y=c.y + 19.5>{more}</text>
        </g>
    }
}
