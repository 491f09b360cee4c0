//! Lessons: a text in steps, each with a check that turns green by itself.
//!
//! A lesson is one YAML file in `lessons/CHAPTER/NAME/lesson.yaml`. Checks are data over the cluster's objects; the
//! headless runner types each step's solution into a terminal and demands that its check passes, so that no lesson rots.

use api::selector::Selector;
use api::{Value, yaml};
use cluster::{Command, World};
use serde::{Deserialize, Serialize};
use sim::{Duration, Instant};

/// A lesson.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lesson {
    /// Folder names: `02-03/first-pod`.
    pub id: String,
    /// Chapter's title.
    pub chapter: String,
    /// Title.
    pub title: String,
    /// What it is about, in a paragraph.
    pub intro: String,
    /// Steps.
    pub steps: Vec<Step>,
}

/// A step of a lesson.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Title.
    pub title: String,
    /// Text: paragraphs, `code`, and lines that begin with `$ ` to be typed.
    pub text: String,
    /// A nudge.
    pub hint: String,
    /// Lines that solve it.
    pub solution: Vec<String>,
    /// What must hold.
    pub check: Check,
}

/// What must hold for a step to be done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Resource, `pods` or `deployments.apps`.
    pub resource: String,
    /// Namespace, "" for the default one (or cluster-scoped objects).
    pub namespace: String,
    /// Name, "" for any.
    pub name: String,
    /// Label selector, "" for any.
    pub labels: String,
    /// Path of a field, dots between keys; "" for the object itself.
    pub field: String,
    /// Text that the field must equal; "" for "is there".
    pub equals: String,
    /// Number of objects that must match, -1 for at least one.
    pub count: i64,
    /// A line that must have been typed, as a part of it; "" for none.
    pub typed: String,
}

/// Why a lesson cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LessonError(pub String);

impl core::fmt::Display for LessonError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Lesson {
    /// Reads a lesson's YAML.
    ///
    /// # Errors
    /// If the text is no YAML or a step lacks a title or check.
    pub fn parse(id: &str, text: &str) -> Result<Lesson, LessonError> {
        let v = yaml::parse(text).map_err(|e| LessonError(format!("{id}: {e}")))?;
        let s = |v: &Value, k: &str| v.get(k).text().trim().to_owned();
        let mut steps = Vec::new();
        for (i, step) in v.get("steps").items().enumerate() {
            let c = step.get("check");
            let title = s(step, "title");
            if title.is_empty() || c.is_empty() {
                return Err(LessonError(format!("{id}: step {} needs a title and a check", i + 1)));
            }
            steps.push(Step {
                title,
                text: s(step, "text"),
                hint: s(step, "hint"),
                solution: step.get("solution").items().map(|l| l.text().to_owned()).collect(),
                check: Check {
                    resource: s(c, "resource"),
                    namespace: s(c, "namespace"),
                    name: s(c, "name"),
                    labels: s(c, "labels"),
                    field: s(c, "field"),
                    equals: match c.get("equals") {
                        Value::Str(t) => t.to_string(),
                        Value::Null => String::new(),
                        other => other.to_json(),
                    },
                    count: c.get("count").as_int().unwrap_or(-1),
                    typed: s(c, "typed"),
                },
            });
        }
        if steps.is_empty() {
            return Err(LessonError(format!("{id}: a lesson needs steps")));
        }
        Ok(Lesson {
            id: id.into(),
            chapter: s(&v, "chapter"),
            title: s(&v, "title"),
            intro: s(&v, "intro"),
            steps,
        })
    }
}

impl Check {
    /// Whether it holds in a world.
    pub fn holds(&self, world: &World) -> bool {
        self.was_typed(world) && self.matches(world)
    }

    fn was_typed(&self, world: &World) -> bool {
        if self.typed.is_empty() {
            return true;
        }
        let mut all = String::new();
        for l in world.log() {
            match &l.command {
                Command::Type { keys, .. } => all.push_str(&String::from_utf8_lossy(keys)),
                Command::Run { line, .. } => all.push_str(line),
                _ => {}
            }
        }
        all.contains(&self.typed)
    }

    fn matches(&self, world: &World) -> bool {
        if self.resource.is_empty() {
            return true;
        }
        let api = world.api();
        let Some(r) = api.registry.iter().find(|r| r.qualified() == self.resource) else { return false };
        let namespace = match (r.namespaced, self.namespace.as_str()) {
            (false, _) => None,
            (true, "") => Some("default"),
            (true, ns) => Some(ns),
        };
        let selector = if self.labels.is_empty() {
            Selector::everything()
        } else {
            Selector::parse(&self.labels).unwrap_or_else(|_| Selector::nothing())
        };
        let path: Vec<&str> = self.field.split('.').filter(|p| !p.is_empty()).collect();
        let n = api
            .store
            .list(r.storage, namespace, None)
            .map(|(_, v)| v)
            .filter(|v| self.name.is_empty() || v.name() == self.name)
            .filter(|v| selector.matches(v.labels()))
            .filter(|v| !v.is_terminating())
            .filter(|v| self.field.is_empty() || self.field_matches(v.at(&path)))
            .count() as i64;
        if self.count < 0 { n > 0 } else { n == self.count }
    }

    fn field_matches(&self, v: &Value) -> bool {
        match (self.equals.as_str(), v) {
            ("", v) => v.is_some(),
            (want, Value::Str(s)) => s == want,
            (want, v) => v.to_json() == want,
        }
    }
}

/// Types each step's solution into a terminal of a world and demands its check. Gives the first step that fails.
///
/// # Errors
/// The step's number and title, with what the terminal showed.
pub fn run(lesson: &Lesson, world: &mut World, patience: Duration) -> Result<(), String> {
    const TERMINAL: u32 = 9;
    world.command(Command::OpenTerminal { terminal: TERMINAL, host: String::new(), size: (120, 40) });
    let mut shown = String::new();
    for (i, step) in lesson.steps.iter().enumerate() {
        for line in &step.solution {
            world.command(Command::Type { terminal: TERMINAL, keys: format!("{line}\r").into_bytes() });
            settle(world, world.now() + Duration::from_secs(4));
            shown.push_str(&String::from_utf8_lossy(&world.take_terminal_output(TERMINAL)));
        }
        let until = world.now() + patience;
        while !step.check.holds(world) && world.now() < until {
            settle(world, world.now() + Duration::from_secs(1));
            shown.push_str(&String::from_utf8_lossy(&world.take_terminal_output(TERMINAL)));
        }
        if !step.check.holds(world) {
            return Err(format!(
                "{}: step {} ({}) is not done; the terminal showed:\n{shown}",
                lesson.id,
                i + 1,
                step.title
            ));
        }
    }
    Ok(())
}

fn settle(world: &mut World, until: Instant) {
    world.run_until(until);
}

#[cfg(test)]
#[test]
fn a_lesson_is_read() {
    let text = "chapter: c\ntitle: t\nintro: i\nsteps:\n- title: one\n  text: do\n  solution: [kubectl get pods]\n  check: {resource: pods, name: kubia, field: status.phase, equals: Running}\n";
    let l = Lesson::parse("x/y", text).unwrap();
    assert_eq!(l.steps[0].check.equals, "Running");
    assert!(Lesson::parse("x/y", "title: t").is_err());
    assert!(Lesson::parse("x/y", "a: [").is_err());
}
