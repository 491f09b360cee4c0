//! `kubectl describe`

use super::common::{ALL_NAMESPACES, CHUNK, FILES, SELECTOR};
use crate::client::Api;
use crate::command::{Args, Command, Group};
use crate::complete;
use crate::cx::{Cx, Done};
use crate::describe::{Describer, page};
use crate::error::Error;
use crate::flags::{Flag, switch};
use crate::resource::{Builder, Info, Targets};

const FLAGS: &[Flag] = &[
    ALL_NAMESPACES,
    CHUNK,
    SELECTOR,
    switch("show-events", "Show the object's events. Off by itself where several objects are described.")
        .on(),
];

/// The command.
pub static COMMAND: Command = Command {
    name: "describe",
    group: Group::Troubleshooting,
    short: "Show details of a specific resource or group of resources",
    long: "Shows an object in detail, with what belongs to it, such as its events. Objects are chosen by name, type, label \
           selector or file; a name that nothing has is taken as the beginning of names.\n\nUse \"kubectl api-resources\" for a \
           complete list of supported resources.",
    usage: "describe (-f FILENAME | TYPE [NAME_PREFIX | -l label] | TYPE/NAME)",
    example: "# A pod\nkubectl describe pods/web\n\n# All pods whose names begin with web\nkubectl describe pods web\n\n# By \
              label\nkubectl describe pods -l app=web",
    flags: &[FLAGS, FILES],
    run: Some(run),
    complete: Some(complete::resources),
    ..Command::EMPTY
};

fn run(cx: &mut Cx<'_>, a: &Args) -> Done {
    let builder = Builder::new(a, &a.words).allow_empty_selector();
    if a.words.is_empty() && !builder.has_files() {
        return Err(Error::text(
            "You must specify the type of resource to describe. Use \"kubectl api-resources\" for a complete list of supported \
             resources.",
        )
        .into());
    }
    let api = cx.api(a)?;
    let targets = builder.targets(cx, &api)?;
    let mut errors = Vec::new();
    let mut infos: Vec<Info> = Vec::new();
    let mut by_beginning = false;
    for t in targets.items {
        match t {
            Ok(t) => {
                let one = Targets { items: vec![Ok(t.clone())], ..Targets::default() };
                for r in builder.fetch(cx, &api, one)? {
                    match r {
                        Ok(i) => infos.push(i),
                        Err(e) if e.is_not_found() && t.name.is_some() && a.words.len() == 2 => {
                            let found = by_prefix(cx, &api, &builder, &t)?;
                            if found.is_empty() {
                                errors.push(e);
                            }
                            by_beginning = true;
                            infos.extend(found);
                        }
                        Err(e) => errors.push(e),
                    }
                }
            }
            Err(e) => errors.push(e),
        }
    }
    let many = infos.len() > 1;
    let events = a.bool("show-events") && (!(many || by_beginning) || a.given("show-events"));
    for (n, i) in infos.iter().enumerate() {
        let mut d = Describer { cx, api: &api, events };
        let text = page(&mut d, i)?;
        if n > 0 && !by_beginning {
            cx.out("\n\n");
        }
        cx.out(text);
        if by_beginning {
            cx.out("\n");
        }
    }
    if infos.is_empty() && errors.is_empty() {
        if a.bool("all-namespaces") {
            cx.err("No resources found\n");
        } else {
            cx.err(format!("No resources found in {} namespace.\n", api.namespace));
        }
    }
    match Error::many(errors) {
        Some(e) => Err(e.into()),
        None => Ok(()),
    }
}

fn by_prefix(cx: &mut Cx<'_>, api: &Api, builder: &Builder, t: &crate::resource::Target) -> Done<Vec<Info>> {
    let prefix = t.name.clone().unwrap_or_default();
    let list = Targets {
        items: vec![Ok(crate::resource::Target { name: None, ..t.clone() })],
        ..Targets::default()
    };
    let all = builder.fetch(cx, api, list)?;
    Ok(all.into_iter().flatten().filter(|i| i.name.starts_with(&prefix)).collect())
}
