//! The part of Go's `text/template` that `-o go-template` needs: actions, pipelines, variables, the built-in functions,
//! and kubectl's `exists` and `base64decode`, with Go's error texts.
//!
//! Absent: `define`, `template`, `block`, `call`, `js`, `urlquery` and methods.

mod exec;
mod funcs;
mod parse;

use crate::Value;

/// A message in Go's words, `template: output:1:2: …`.
pub type Error = String;

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    text: String,
    nodes: Vec<parse::Node>,
}

impl Template {
    /// Reads a template; an error is what follows `error parsing template TEMPLATE, `.
    pub fn parse(text: &str) -> Result<Template, Error> {
        Ok(Template { text: text.to_owned(), nodes: parse::parse(text)? })
    }

    /// Fills the template. A missing key prints `<no value>`, or is an error where `missing_is_error`. What was printed
    /// before an error is lost, as in kubectl.
    pub fn execute(&self, data: &Value, missing_is_error: bool) -> Result<String, Error> {
        exec::run(&self.text, &self.nodes, &floats(data), missing_is_error)
    }
}

/// JSON's numbers are `float64` in templates.
fn floats(v: &Value) -> Value {
    match v {
        Value::Int(i) => Value::Float(*i as f64),
        Value::List(l) => l.iter().map(floats).collect(),
        Value::Map(m) => m.iter().map(|(k, v)| (k, floats(v))).collect(),
        v => v.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::obj;

    fn run(t: &str) -> String {
        let v = obj!({
            "kind": "ConfigMap", "n": 3, "data": {"app.conf": "k=v", "name": "zeta", "pw": "aHVudGVyMg=="},
            "metadata": {"name": "c1", "labels": {"app": "web", "env": "prod"}},
            "items": [{"name": "a", "c": [1, 2]}, {"name": "b"}], "yes": true, "big": 1000000
        });
        match Template::parse(t) {
            Ok(t) => t.execute(&v, false).unwrap_or_else(|e| e),
            Err(e) => format!("parse: {e}"),
        }
    }

    #[test]
    fn templates() {
        for (t, want) in [
            ("{{.metadata.name}}", "c1"),
            ("{{range .items}}{{.name}} {{end}}", "a b "),
            ("{{range $i, $e := .items}}{{$i}}={{$e.name}}{{\"\\n\"}}{{end}}", "0=a\n1=b\n"),
            ("{{index .data \"app.conf\"}}", "k=v"),
            ("{{len .data}} {{printf \"%s-%s\" .kind .metadata.name}}", "3 ConfigMap-c1"),
            ("{{range .items}}{{if eq .name \"a\"}}A{{else}}-{{end}}{{end}}", "A-"),
            ("{{range $k,$v := .data}}{{$k}}: {{$v}};{{end}}", "app.conf: k=v;name: zeta;pw: aHVudGVyMg==;"),
            ("{{.nope}} {{.nope.deeper}}", "<no value> <no value>"),
            ("{{.metadata.labels}}", "map[app:web env:prod]"),
            ("{{.data.pw | base64decode}}", "hunter2"),
            ("{{ if and (eq .kind \"ConfigMap\") (not .immutable) }}mutable{{ end }}", "mutable"),
            ("a {{- /* c */ -}} b{{ .n }} {{.big}}", "ab3 1e+06"),
            ("{{with .metadata}}{{.name}} {{$.kind}}{{end}}{{with .none}}x{{else}}y{{end}}", "c1 ConfigMapy"),
            ("{{$x := 1}}{{range .items}}{{$x = .name}}{{end}}{{$x}}", "b"),
            ("{{if .none}}1{{else if .yes}}2{{else}}3{{end}}", "2"),
            ("{{range .items}}{{if eq .name \"b\"}}{{break}}{{end}}{{.name}}{{end}}", "a"),
            ("{{range .none}}x{{else}}empty{{end}}", "empty"),
            (
                "{{(index .items 1).name}} {{slice \"abcd\" 1 3}} {{print 1 2 \"x\"}} {{println \"a\"}}",
                "b bc 1 2x a\n",
            ),
            (
                "{{html \"<a>\"}} {{exists .metadata \"labels\" \"app\"}} {{or .none \"d\"}} {{ne 1 2}} {{lt 1 2}}",
                "&lt;a&gt; true d true true",
            ),
            (
                "{{printf \"%5.2f|%-4d|%04d|%q|%v|%t\" .n 7 7 \"x\" .items true}}",
                " 3.00|7   |0007|\"x\"|[map[c:[1 2] name:a] map[name:b]]|true",
            ),
            ("{{.metadata.name", "parse: template: output:1: unclosed action"),
            ("{{foo .metadata}}", "parse: template: output:1: function \"foo\" not defined"),
            ("{{if .x}}", "parse: template: output:1: unexpected EOF"),
            ("{{end}}", "parse: template: output:1: unexpected {{end}}"),
            ("{{$q}}", "parse: template: output:1: undefined variable \"$q\""),
            (
                "x\n{{index .data 5}}",
                "template: output:2:2: executing \"output\" at <index .data 5>: error calling index: value has type int; should be string",
            ),
            (
                "{{.kind.x}}",
                "template: output:1:7: executing \"output\" at <.kind.x>: can't evaluate field x in type interface {}",
            ),
            (
                "{{len 3}}",
                "template: output:1:2: executing \"output\" at <len 3>: error calling len: len of type int",
            ),
            (
                "{{eq .n 3}}",
                "template: output:1:2: executing \"output\" at <eq .n 3>: error calling eq: incompatible types for comparison",
            ),
        ] {
            assert_eq!(run(t), want, "{t}");
        }
        let t = Template::parse("{{.nope}}").unwrap();
        assert_eq!(
            t.execute(&obj!({}), true).unwrap_err(),
            "template: output:1:2: executing \"output\" at <.nope>: map has no entry for key \"nope\""
        );
        assert!(run(&"{{if .x}}".repeat(5000)).starts_with("parse: template: output:1: "));
        assert!(run(&format!("{{{{{}1{}}}}}", "(".repeat(5000), ")".repeat(5000))).starts_with("parse: "));
    }
}
