//! The lesson pane: text in steps, checks that turn green by themselves.

use super::dock;
use super::state::App;
use crate::platform;
use crate::protocol::ToWorker;
use leptos::prelude::*;
use lesson::Step;

/// Lessons that the page offers, as folder and title, in the order of the book.
pub const LESSONS: &[(&str, &str)] = &[("02-first-pod", "2 · First pod"), ("03-labels", "3 · Labels")];

/// Begins with the lesson that was open last.
pub fn follow_stored(app: App) {
    let id = platform::stored("lesson").unwrap_or_else(|| LESSONS[0].0.to_owned());
    load(app, &id);
}

fn load(app: App, id: &str) {
    let id = id.to_owned();
    platform::store("lesson", &id);
    let path = format!("lessons/{id}/lesson.yaml");
    platform::fetch_text(&path, move |text| match text {
        Some(t) => deliver(app, id, t, 0),
        None => app.notice.set(Some(
            "The lesson could not be fetched. The cluster works without it; choose one again later.".into(),
        )),
    });
}

/// Hands the lesson to the worker once the cluster has started.
fn deliver(app: App, id: String, text: String, tries: u32) {
    if app.started.get_untracked() || tries > 200 {
        app.post(&ToWorker::Lesson(id, text));
    } else {
        platform::after(50, move || deliver(app, id, text, tries + 1));
    }
}

#[component]
pub fn LessonPane() -> impl IntoView {
    let app = App::get();
    let done = move || app.steps.with(|s| s.iter().filter(|d| **d).count());
    let current = Memo::new(move |_| app.steps.with(|s| s.iter().position(|d| !d)));
    view! {
        <div class="tabs">
            <label class="visually-hidden" for="lesson-choice">"Lesson"</label>
            <select id="lesson-choice" on:change=move |e| load(app, &event_target_value(&e))>
                {LESSONS
                    .iter()
                    .map(|(id, title)| {
                        view! { <option value=*id selected=move || app.lesson.with(|l| l.as_ref().is_some_and(|l| l.id == *id))>{*title}</option> }
                    })
                    .collect_view()}
            </select>
            <span class="tabs-space"></span>
            <span class="counts">{move || format!("{} of {}", done(), app.steps.with(Vec::len))}</span>
            <button class="icon" aria-label="Close the lesson" on:click=move |_| {
                app.lesson_open.set(false);
                platform::store("lesson-open", "no");
            }>"×"</button>
        </div>
        <div class="lesson-body">
            {move || match app.lesson.get() {
                None => view! { <p class="empty">"The lesson is on its way."</p> }.into_any(),
                Some(l) => {
                    let steps = l.steps.into_iter().enumerate().map(|(i, s)| step(app, i, s, current)).collect_view();
                    view! {
                        <p class="chapter">{l.chapter}</p>
                        <h2>{l.title}</h2>
                        {paragraphs(app, &l.intro)}
                        <ol class="steps">{steps}</ol>
                        <Show when=move || app.steps.with(|s| !s.is_empty() && s.iter().all(|d| *d))>
                            <p class="all-done">"All steps are done. Choose the next lesson above, or go on playing."</p>
                        </Show>
                    }.into_any()
                }
            }}
        </div>
    }
}

fn step(app: App, i: usize, s: Step, current: Memo<Option<usize>>) -> impl IntoView {
    let done = move || app.steps.with(|d| d.get(i).copied().unwrap_or(false));
    let class = move || match (done(), current.get() == Some(i)) {
        (true, _) => "step done",
        (_, true) => "step now",
        _ => "step",
    };
    let solution = s.solution.clone();
    let has_solution = !solution.is_empty();
    view! {
        <li class=class data-step=i.to_string()>
            <h3>
                <span class="tick" aria-label=move || if done() { "done" } else { "open" }>{move || if done() { "✓" } else { "○" }}</span>
                {s.title}
            </h3>
            {paragraphs(app, &s.text)}
            {(!s.hint.is_empty()).then(|| view! { <details><summary>"Hint"</summary><p>{s.hint.clone()}</p></details> })}
            {has_solution.then(|| view! {
                <details>
                    <summary>"Solution"</summary>
                    {solution.into_iter().map(|l| line(app, l)).collect_view()}
                </details>
            })}
        </li>
    }
}

/// A line to type, with a button that types it.
fn line(app: App, l: String) -> impl IntoView {
    let typed = l.clone();
    view! {
        <div class="type-line">
            <code>{l}</code>
            <button class="quiet" on:click=move |_| dock::type_line(app, &typed)>"Type it"</button>
        </div>
    }
}

/// Paragraphs with `code` and lines to type, which begin with `$ `.
fn paragraphs(app: App, text: &str) -> Vec<AnyView> {
    text.split("\n\n")
        .filter(|p| !p.trim().is_empty())
        .map(|p| match p.trim().strip_prefix("$ ") {
            Some(l) => line(app, l.trim().to_owned()).into_any(),
            None => {
                let parts = p
                    .split('`')
                    .enumerate()
                    .map(|(i, s)| {
                        if i % 2 == 1 {
                            view! { <code>{s.to_owned()}</code> }.into_any()
                        } else {
                            s.to_owned().into_any()
                        }
                    })
                    .collect_view();
                view! { <p>{parts}</p> }.into_any()
            }
        })
        .collect()
}
