//! The manifest editor: text, marks at the lines that are wrong, apply.

use super::dock;
use super::state::App;
use crate::platform;
use crate::protocol::Question;
use cluster::Command;
use leptos::prelude::*;

/// What the editor begins with: the first exercise.
pub const EXAMPLE: &str = "apiVersion: apps/v1
kind: Deployment
metadata:
  name: kubia
spec:
  replicas: 3
  selector:
    matchLabels:
      app: kubia
  template:
    metadata:
      labels:
        app: kubia
    spec:
      containers:
      - name: nodejs
        image: luksa/kubia:v1
        ports:
        - containerPort: 8080
---
apiVersion: v1
kind: Service
metadata:
  name: kubia
spec:
  selector:
    app: kubia
  ports:
  - port: 80
    targetPort: 8080
";

const LINE_PX: i32 = 20;

#[component]
pub fn Editor() -> impl IntoView {
    let app = App::get();
    let scroll = RwSignal::new(0);
    app.ask(Question::Lint(app.text.get_untracked()));
    let lines =
        Memo::new(move |_| app.text.with(|t| t.lines().count().max(1) + usize::from(t.ends_with('\n'))));
    let changed = move |text: String| {
        platform::store("manifest", &text);
        app.ask(Question::Lint(text.clone()));
        app.text.set(text);
    };
    let apply = move |_| {
        let file = app.file.get_untracked();
        app.act(Command::WriteFile { path: format!("/root/{file}"), content: app.text.get_untracked() });
        dock::type_line(app, &format!("kubectl apply -f {file}"));
    };
    let gutter = move || {
        let marks = app.marks.get();
        (1..=lines.get())
            .map(|n| {
                let message = marks.iter().find(|m| m.line == n).map(|m| m.message.clone());
                let class = if message.is_some() { "ln bad" } else { "ln" };
                view! { <div class=class title=message.clone().unwrap_or_default()>{n}</div> }
            })
            .collect_view()
    };
    view! {
        <div class="editor">
            <div class="editor-text">
                <div class="gutter mono" aria-hidden="true">
                    <div style=move || format!("transform: translateY(-{}px)", scroll.get())>{gutter}</div>
                </div>
                <textarea
                    class="mono"
                    id="manifest"
                    aria-label="Manifest"
                    aria-describedby="marks"
                    spellcheck="false"
                    wrap="off"
                    prop:value=move || app.text.get()
                    on:input=move |e| changed(event_target_value(&e))
                    on:scroll=move |e| scroll.set(event_target::<web_sys::HtmlTextAreaElement>(&e).scroll_top())
                ></textarea>
            </div>
            <div class="editor-side">
                <label>"File "<input class="mono" prop:value=move || app.file.get() on:input=move |e| app.file.set(file_name(&event_target_value(&e))) /></label>
                <button class="primary" id="apply" on:click=apply>"Apply"</button>
                <code>{move || format!("kubectl apply -f {}", app.file.get())}</code>
                <ul id="marks" class="marks" aria-live="polite">
                    {move || {
                        app.marks
                            .get()
                            .into_iter()
                            .map(|m| {
                                let line = m.line;
                                view! { <li><button class="linkish" on:click=move |_| scroll_to(line)>{format!("line {line}")}</button>" "{m.message}</li> }
                            })
                            .collect_view()
                    }}
                </ul>
                <Show when=move || app.marks.with(Vec::is_empty)><p class="sub">"No mistakes found."</p></Show>
            </div>
        </div>
    }
}

fn scroll_to(line: usize) {
    platform::focus("manifest");
    platform::scroll_top("manifest", (line as i32 - 3).max(0) * LINE_PX);
}

/// A plain file name: no path, nothing that a shell would read.
fn file_name(s: &str) -> String {
    s.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')).take(64).collect()
}
