//! `kubectl api-resources`, `api-versions`, `cluster-info`

use crate::client::Api;
use crate::command::{Args, Command, Group};
use crate::complete;
use crate::cx::{Cx, Done};
use crate::discovery::Resource;
use crate::error::Error;
use crate::flags::{Kind, flag, switch};
use crate::print;
use crate::resource::list_items;
use crate::tabwriter::TabWriter;
use api::wire::Request;
use api::{Value, yaml};

/// `api-resources`
pub static API_RESOURCES: Command = Command {
    name: "api-resources",
    group: Group::Other,
    short: "Print the supported API resources on the server",
    long: "Lists the resources that the server has.",
    usage: "api-resources [flags]",
    example: "# All\nkubectl api-resources\n\n# With verbs and categories\nkubectl api-resources -o wide\n\n# Of one \
              group\nkubectl api-resources --api-group=apps",
    flags: &[
        &[
            flag("api-group", Kind::Str, "''", "Only resources of this group."),
            switch("cached", "Take what was fetched before, if it is there."),
            flag("categories", Kind::Slice, "[]", "Only resources of these categories."),
            switch(
                "namespaced",
                "Whether to list resources that live in namespaces, or those that do not; both unless given.",
            )
            .on(),
            switch("no-headers", "Leave out the headings."),
            flag("output", Kind::Str, "''", "Output format. One of: (json, yaml, kyaml, name, wide).")
                .short('o'),
            flag("sort-by", Kind::Str, "''", "Sort by this: name or kind."),
            flag("verbs", Kind::Slice, "[]", "Only resources that know these verbs."),
        ],
        &[print::FLAGS[2]],
    ],
    run: Some(api_resources),
    ..Command::EMPTY
};

fn api_resources(cx: &mut Cx<'_>, a: &Args) -> Done {
    if !a.words.is_empty() {
        return Err(a.usage(format!("unexpected arguments: [{}]", a.words.join(" "))));
    }
    let format = a.str("output");
    if !["", "wide", "name", "json", "yaml", "kyaml"].contains(&format.as_str()) {
        return Err(Error::Text(format!(
            "unable to match a printer suitable for the output format {}, allowed formats are: json,kyaml,name,wide,yaml",
            api::gofmt::quote(&format)
        ))
        .into());
    }
    let sort = a.str("sort-by");
    if !["", "name", "kind"].contains(&sort.as_str()) {
        return Err(Error::text("--sort-by accepts only name or kind").into());
    }
    let api = cx.api(a)?;
    let d = cx.discovery(&api)?;
    let (verbs, categories) = (a.list("verbs"), a.list("categories"));
    let mut list: Vec<&Resource> = d
        .resources
        .iter()
        .map(|r| &**r)
        .filter(|r| r.preferred && !r.verbs.is_empty())
        .filter(|r| !a.given("api-group") || r.group == a.str("api-group"))
        .filter(|r| !a.given("namespaced") || r.namespaced == a.bool("namespaced"))
        .filter(|r| verbs.iter().all(|v| r.verbs.iter().any(|x| x == v)))
        .filter(|r| categories.iter().all(|c| r.categories.iter().any(|x| x == c)))
        .collect();
    match sort.as_str() {
        "name" => list.sort_by(|a, b| a.name.cmp(&b.name)),
        "kind" => list.sort_by(|a, b| a.kind.cmp(&b.kind)),
        _ => {
            list.sort_by(|a, b| (a.group.as_str(), a.name.as_str()).cmp(&(b.group.as_str(), b.name.as_str())))
        }
    }
    match format.as_str() {
        "name" => {
            for r in list {
                cx.out(format!("{}\n", r.qualified()));
            }
        }
        "json" | "yaml" | "kyaml" => structured(cx, &list, &format),
        _ => table(cx, &list, format == "wide", !a.bool("no-headers")),
    }
    Ok(())
}

fn table(cx: &mut Cx<'_>, list: &[&Resource], wide: bool, headings: bool) {
    let mut w = TabWriter::table();
    if headings {
        w.write("NAME\tSHORTNAMES\tAPIVERSION\tNAMESPACED\tKIND");
        w.write(if wide { "\tVERBS\tCATEGORIES\n" } else { "\n" });
    }
    for r in list {
        let join = |l: &[api::SmolStr]| l.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(",");
        w.write(&format!(
            "{}\t{}\t{}\t{}\t{}",
            r.name,
            join(&r.short),
            r.api_version(),
            r.namespaced,
            r.kind
        ));
        if wide {
            w.write(&format!("\t{}\t{}", join(&r.verbs), join(&r.categories)));
        }
        w.write("\n");
    }
    cx.out(w.finish());
}

fn structured(cx: &mut Cx<'_>, list: &[&Resource], format: &str) {
    let quoted = |s: &str| Value::str(s).to_json();
    let rows: Vec<String> = list
        .iter()
        .map(|r| {
            let all = |l: &[api::SmolStr]| l.iter().cloned().collect::<Value>().to_json();
            let mut s = format!(
                "{{\"name\":{},\"singularName\":{},\"namespaced\":{}",
                quoted(&r.name),
                quoted(&r.singular),
                r.namespaced
            );
            if !r.group.is_empty() {
                s += &format!(",\"group\":{}", quoted(&r.group));
            }
            s += &format!(
                ",\"version\":{},\"kind\":{},\"verbs\":{}",
                quoted(&r.version),
                quoted(&r.kind),
                all(&r.verbs)
            );
            if !r.short.is_empty() {
                s += &format!(",\"shortNames\":{}", all(&r.short));
            }
            if !r.categories.is_empty() {
                s += &format!(",\"categories\":{}", all(&r.categories));
            }
            s + "}"
        })
        .collect();
    let text = format!(
        "{{\"kind\":\"APIResourceList\",\"apiVersion\":\"v1\",\"groupVersion\":\"\",\"resources\":[{}]}}",
        rows.join(",")
    );
    if format == "json" {
        cx.out(print::reindent(&text, 4) + "\n");
        return;
    }
    let v = api::parse_json(&text).map(|(v, _)| v).unwrap_or_default();
    cx.out(if format == "yaml" { yaml::emit(&v) } else { yaml::emit_kyaml(&v) });
}

/// `api-versions`
pub static API_VERSIONS: Command = Command {
    name: "api-versions",
    group: Group::Other,
    short: "Print the supported API versions on the server, in the form of \"group/version\"",
    long: "Lists the versions of the API that the server has, as \"group/version\".",
    usage: "api-versions",
    example: "# All\nkubectl api-versions",
    run: Some(api_versions),
    ..Command::EMPTY
};

fn api_versions(cx: &mut Cx<'_>, a: &Args) -> Done {
    if !a.words.is_empty() {
        return Err(a.usage(format!("unexpected arguments: [{}]", a.words.join(" "))));
    }
    let api = cx.api(a)?;
    let d = cx.discovery(&api)?;
    let mut all: Vec<String> = d
        .groups
        .iter()
        .flat_map(|(g, versions)| {
            versions.iter().map(move |v| if g.is_empty() { v.to_string() } else { format!("{g}/{v}") })
        })
        .collect();
    all.sort();
    for v in all {
        cx.out(format!("{v}\n"));
    }
    Ok(())
}

/// `cluster-info`
pub static CLUSTER_INFO: Command = Command {
    name: "cluster-info",
    group: Group::Cluster,
    short: "Display cluster information",
    long: "Shows where the control plane and services with the label kubernetes.io/cluster-service=true are. For a closer look \
           use 'kubectl cluster-info dump'.",
    usage: "cluster-info [flags]",
    example: "# Where is it?\nkubectl cluster-info",
    subs: &[&DUMP],
    run: Some(cluster_info),
    complete: Some(complete::nothing),
    ..Command::EMPTY
};

fn cluster_info(cx: &mut Cx<'_>, a: &Args) -> Done {
    let api = cx.api(a)?;
    let ns = if api.namespace_given { api.namespace.as_str() } else { "kube-system" };
    let r = Request::get(format!("/api/v1/namespaces/{ns}/services"))
        .with_query("labelSelector", "kubernetes.io/cluster-service=true");
    let services = list_items(&api.call(cx, r)?);
    let tty = cx.is_tty(1)?;
    let line = |cx: &mut Cx<'_>, name: &str, url: &str| {
        if tty {
            cx.out(format!("\u{1b}[0;32m{name}\u{1b}[0m is running at \u{1b}[0;33m{url}\u{1b}[0m\n"));
        } else {
            cx.out(format!("{name} is running at {url}\n"));
        }
    };
    line(cx, "Kubernetes control plane", &api.server);
    for s in services {
        let ingress = &s.at(&["status", "loadBalancer", "ingress"])[0];
        let port = &s.at(&["spec", "ports"])[0];
        let url = if ingress.is_some() {
            let ip = ingress.get("ip").text();
            format!(
                "http://{}:{}",
                if ip.is_empty() { ingress.get("hostname").text() } else { ip },
                port.get("port").int()
            )
        } else {
            let mut name = s.name().to_owned();
            if !port.get("name").text().is_empty() {
                name = format!("{name}:{}", port.get("name").text());
            }
            if port.get("port").int() == 443 || port.get("name").text() == "https" {
                name = format!("https:{name}");
            }
            format!("{}/api/v1/namespaces/{}/services/{name}/proxy", api.server, s.namespace())
        };
        let shown = match s.labels().get("kubernetes.io/name").text() {
            "" => s.name().to_owned(),
            n => n.to_owned(),
        };
        line(cx, &shown, &url);
    }
    cx.out("\nTo further debug and diagnose cluster problems, use 'kubectl cluster-info dump'.\n");
    Ok(())
}

static DUMP: Command = Command {
    name: "dump",
    short: "Dump relevant information for debugging and diagnosis",
    long: "Prints what helps to find out what is wrong with a cluster: nodes, and of each chosen namespace its events, \
           workloads, services and pods with their logs. To standard output, or files of --output-directory.",
    usage: "dump [flags]",
    example: "# Of kube-system and the namespace in use\nkubectl cluster-info dump",
    flags: &[
        &[
            switch("all-namespaces", "All namespaces.").short('A'),
            flag("output", Kind::Str, "'json'", print::OUTPUT_HELP).short('o'),
            flag("namespaces", Kind::Slice, "[]", "Namespaces to look at, with commas between."),
            flag(
                "output-directory",
                Kind::Str,
                "''",
                "Directory for the files; '-' or nothing is standard output",
            ),
            flag("pod-running-timeout", Kind::Duration, "20s", "How long to wait until one pod runs"),
        ],
        print::FLAGS,
    ],
    run: Some(dump),
    complete: Some(complete::nothing),
    ..Command::EMPTY
};

fn dump(cx: &mut Cx<'_>, a: &Args) -> Done {
    let api = cx.api(a)?;
    let dir = a.str("output-directory");
    let to_files = !dir.is_empty() && dir != "-";
    let format = a.str("output");
    let mut put = |cx: &mut Cx<'_>, name: &str, text: String| -> Done {
        if to_files {
            let path = format!("{dir}/{name}");
            if let Some((d, _)) = path.rsplit_once('/') {
                let _ = cx.make_dir(d)?;
            }
            cx.write_file(&path, text.as_bytes(), 0o644)?.map_err(Error::Text)?;
        } else {
            cx.out(text);
        }
        Ok(())
    };
    let shown = |v: &Value| if format == "yaml" { yaml::emit(v) } else { v.to_json_pretty() + "\n" };
    let ext = if format == "yaml" { "yaml" } else { "json" };
    let nodes = api.get(cx, "/api/v1/nodes")?;
    put(cx, &format!("nodes.{ext}"), shown(&print::without_managed_fields(&nodes)))?;
    let mut namespaces: Vec<String> = a.list("namespaces").to_vec();
    if a.bool("all-namespaces") {
        let all = api.get(cx, "/api/v1/namespaces")?;
        namespaces = list_items(&all).iter().map(|n| n.name().to_owned()).collect();
    } else if namespaces.is_empty() {
        namespaces = vec!["kube-system".into(), api.namespace.clone()];
    }
    for ns in namespaces {
        for (path, name) in [
            ("api/v1", "events"),
            ("api/v1", "replicationcontrollers"),
            ("api/v1", "services"),
            ("apis/apps/v1", "daemonsets"),
            ("apis/apps/v1", "deployments"),
            ("apis/apps/v1", "replicasets"),
            ("api/v1", "pods"),
        ] {
            let list = api.get(cx, &format!("/{path}/namespaces/{ns}/{name}"))?;
            put(cx, &format!("{ns}/{name}.{ext}"), shown(&print::without_managed_fields(&list)))?;
            if name == "pods" {
                for p in list_items(&list) {
                    logs(cx, &api, &p, &mut put)?;
                }
            }
        }
    }
    if to_files {
        cx.out(format!("Cluster info dumped to {dir}\n"));
    }
    Ok(())
}

fn logs(
    cx: &mut Cx<'_>,
    api: &Api,
    p: &Value,
    put: &mut dyn FnMut(&mut Cx<'_>, &str, String) -> Done,
) -> Done {
    for c in p.at(&["spec", "containers"]).items() {
        let (ns, name, container) = (p.namespace(), p.name(), c.get("name").text());
        let r = Request::get(format!("/api/v1/namespaces/{ns}/pods/{name}/log"))
            .with_query("container", container);
        let answer = api.send(cx, r)?;
        let text = match &answer.body {
            api::wire::Body::Bytes(b) if answer.is_ok() => String::from_utf8_lossy(b).into_owned(),
            _ => String::new(),
        };
        let text = format!(
            "==== START logs for container {container} of pod {ns}/{name} ====\n{text}==== END logs for container \
             {container} of pod {ns}/{name} ====\n"
        );
        put(cx, &format!("{ns}/{name}/logs.txt"), text)?;
    }
    Ok(())
}
