//! kubeconfig files: finding, merging, changing. Models: `client-go/tools/clientcmd`.

use crate::command::Args;
use crate::cx::{Cx, Done};
use crate::error::Error;
use api::{Value, obj, yaml};

/// The merged configuration and the files it came from.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The files that were looked for, in order.
    pub paths: Vec<String>,
    /// The merged configuration: `clusters`, `contexts`, `users` as lists of `{name, …}`.
    pub value: Value,
    /// Whether a path was named by flag.
    pub explicit: bool,
}

/// The lists of a configuration and the key of their entries.
pub const LISTS: [(&str, &str); 3] = [("clusters", "cluster"), ("contexts", "context"), ("users", "user")];

impl Config {
    /// Loads the files of `--kubeconfig`, `KUBECONFIG` or `~/.kube/config`.
    pub fn load(cx: &mut Cx<'_>, args: &Args) -> Done<Config> {
        let flag = args.str("kubeconfig");
        let explicit = !flag.is_empty();
        let paths: Vec<String> = if explicit {
            vec![flag]
        } else {
            match cx.var("KUBECONFIG")?.filter(|v| !v.is_empty()) {
                Some(v) => v.split(':').filter(|p| !p.is_empty()).map(str::to_owned).collect(),
                None => {
                    let home = cx.var("HOME")?.unwrap_or_else(|| "/root".into());
                    vec![format!("{home}/.kube/config")]
                }
            }
        };
        let mut value = empty();
        for path in &paths {
            match Config::read(cx, path)? {
                Some(v) => merge(&mut value, &v),
                None if explicit => {
                    return Err(Error::Text(format!("stat {path}: no such file or directory")).into());
                }
                None => {}
            }
        }
        Ok(Config { paths, value, explicit })
    }

    /// Reads one file; `None` if it is not there.
    pub fn read(cx: &mut Cx<'_>, path: &str) -> Done<Option<Value>> {
        let data = match cx.read_file(path)? {
            Ok(d) => d,
            Err(e) if e == "no such file or directory" => return Ok(None),
            Err(e) => {
                return Err(
                    Error::Text(format!("error loading config file \"{path}\": open {path}: {e}")).into()
                );
            }
        };
        let text = String::from_utf8_lossy(&data);
        match yaml::parse(&text) {
            Ok(Value::Null) => Ok(Some(empty())),
            Ok(v @ Value::Map(_)) => Ok(Some(v)),
            Ok(_) => Err(Error::Text(format!(
                "error loading config file \"{path}\": couldn't get version/kind; json parse error: json: cannot \
                 unmarshal string into Go value of type struct {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; \
                 Kind string \"json:\\\"kind,omitempty\\\"\" }}"
            ))
            .into()),
            Err(e) => Err(Error::Text(format!("error loading config file \"{path}\": {e}")).into()),
        }
    }

    /// The entry of that name in `clusters`, `contexts` or `users`, or null.
    pub fn entry(&self, list: &str, name: &str) -> &Value {
        entry(&self.value, list, name)
    }

    /// The context in use.
    pub fn current_context(&self, args: &Args) -> String {
        let flag = args.str("context");
        if flag.is_empty() { self.value.get("current-context").text().to_owned() } else { flag }
    }

    /// Whether nothing is configured.
    pub fn is_empty(&self) -> bool {
        LISTS.iter().all(|(l, _)| self.value.get(l).len() == 0)
            && self.value.get("current-context").text().is_empty()
    }
}

/// The entry's content of that name in a list of a configuration, or null.
pub fn entry<'a>(config: &'a Value, list: &str, name: &str) -> &'a Value {
    let key = LISTS.iter().find(|(l, _)| *l == list).map_or("", |(_, k)| k);
    config.get(list).items().find(|e| e.get("name").text() == name).map_or(Value::null(), |e| e.get(key))
}

/// Lends the entry's content for writing, making it where it is missing.
pub fn entry_mut<'a>(config: &'a mut Value, list: &str, name: &str) -> &'a mut Value {
    let key = LISTS.iter().find(|(l, _)| *l == list).map_or("", |(_, k)| k);
    let items = config.slot(&[list]).list_mut();
    let at = match items.iter().position(|e| e.get("name").text() == name) {
        Some(i) => i,
        None => {
            items.push(obj!({"name": name}));
            items.sort_by(|a, b| a.get("name").text().cmp(b.get("name").text()));
            items.iter().position(|e| e.get("name").text() == name).unwrap_or(0)
        }
    };
    items[at].slot(&[key])
}

/// A configuration without entries.
pub fn empty() -> Value {
    obj!({
        "apiVersion": "v1", "kind": "Config", "clusters": [], "contexts": [], "current-context": "", "preferences": {},
        "users": []
    })
}

/// Merges a later file: what the earlier have stays.
fn merge(into: &mut Value, from: &Value) {
    for (list, _) in LISTS {
        for e in from.get(list).items() {
            let name = e.get("name").text();
            if !into.get(list).items().any(|x| x.get("name").text() == name) {
                into.push_at(&[list], e);
            }
        }
        let items = into.slot(&[list]).list_mut();
        items.sort_by(|a, b| a.get("name").text().cmp(b.get("name").text()));
    }
    if into.get("current-context").text().is_empty() {
        into.insert("current-context", from.get("current-context").text());
    }
    if let Value::Map(p) = from.get("preferences")
        && !p.is_empty()
    {
        into.insert("preferences", from.get("preferences"));
    }
}
