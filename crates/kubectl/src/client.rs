//! Requests to the API server under the identity of a kubeconfig context.

use crate::command::Args;
use crate::cx::{Cx, Done, Handle, Packet};
use crate::error::Error;
use crate::x509;
use api::wire::{Body, Credentials, Method, Request, Response};
use api::{SmolStr, Value};
use std::sync::Arc;

/// A server and who talks to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Api {
    /// The server's URL, `https://127.0.0.1:6443`.
    pub server: String,
    /// Who asks.
    pub credentials: Credentials,
    /// Impersonation and the like.
    pub headers: Vec<(SmolStr, String)>,
    /// The namespace to use.
    pub namespace: String,
    /// Whether `--namespace` named it.
    pub namespace_given: bool,
    /// Whether warnings end the command.
    pub warnings_as_errors: bool,
}

/// What a patch is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PatchType {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// By merge keys.
    Strategic,
    /// Server-side apply.
    Apply,
}

impl PatchType {
    /// Its content type.
    pub fn content_type(self) -> &'static str {
        match self {
            PatchType::Json => "application/json-patch+json",
            PatchType::Merge => "application/merge-patch+json",
            PatchType::Strategic => "application/strategic-merge-patch+json",
            PatchType::Apply => "application/apply-patch+yaml",
        }
    }
}

/// Before the server's URL where its answers shall be bytes.
pub const RAW: &str = "raw+";

/// Where the server is when nothing says so.
const FALLBACK: &str = "http://localhost:8080";
const TOKEN_DIR: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

impl Api {
    /// The client of the current context, flags and the pod's own service account considered.
    pub fn new(cx: &mut Cx<'_>, args: &Args) -> Done<Api> {
        let config = cx.config(args)?;
        let context_name = config.current_context(args);
        let context = config.entry("contexts", &context_name);
        // Commands that never ask for the namespace find out otherwise, and say it otherwise.
        let asks_namespace = !matches!(args.path.as_str(), "kubectl version" | "kubectl create namespace");
        if context.is_null() && args.given("context") {
            return Err(if asks_namespace {
                Error::Plain(format!(
                    "Error in configuration: context was not found for specified context: {context_name}\n"
                ))
            } else {
                Error::Text(format!("context {} does not exist", api::gofmt::quote(&context_name)))
            }
            .into());
        }
        let given = |flag: &str| args.command.flag(flag).is_none() && args.given(flag);
        let pick = |flag: &str, field: &str| {
            if given(flag) { args.str(flag) } else { context.get(field).text().to_owned() }
        };
        let cluster_name = pick("cluster", "cluster");
        let cluster = config.entry("clusters", &cluster_name);
        if cluster.is_null() && args.given("cluster") {
            let name = api::gofmt::quote(&cluster_name);
            return Err(Error::Text(if asks_namespace {
                format!("no server found for cluster {name}")
            } else {
                format!("cluster {name} does not exist")
            })
            .into());
        }
        let user_name = pick("user", "user");
        let user = config.entry("users", &user_name);
        if user.is_null() && given("user") {
            return Err(
                Error::Text(format!("auth info {} does not exist", api::gofmt::quote(&user_name))).into()
            );
        }
        if args.str("as").is_empty() && user.get("as").text().is_empty() {
            let extra = ["as-group", "as-uid", "as-user-extra"];
            if extra.iter().any(|f| args.given(f)) {
                return Err(Error::Text(format!(
                    "requesting uid, groups or user-extra for {user_name} without impersonating a user"
                ))
                .into());
            }
        }
        let mut server = args.str("server");
        if server.is_empty() {
            server = cluster.get("server").text().to_owned();
        }
        let mut credentials = credentials(cx, args, user)?;
        let mut namespace = args.str("namespace");
        let namespace_given = !namespace.is_empty();
        if !namespace_given {
            namespace = context.get("namespace").text().to_owned();
        }
        if server.is_empty() && config.is_empty() {
            in_cluster(cx, &mut server, &mut credentials, &mut namespace)?;
        }
        if server.is_empty() {
            server = FALLBACK.to_owned();
        }
        if !server.contains("://") {
            server = format!("http://{server}");
        }
        if namespace.is_empty() {
            namespace = "default".to_owned();
        }
        Ok(Api {
            server,
            credentials,
            headers: impersonation(args, user),
            namespace,
            namespace_given,
            warnings_as_errors: args.bool("warnings-as-errors"),
        })
    }

    /// The host and port of the server.
    pub fn host(&self) -> &str {
        let rest = self.server.split_once("://").map_or(self.server.as_str(), |(_, r)| r);
        rest.split('/').next().unwrap_or(rest)
    }

    fn prepared(&self, mut r: Request) -> Arc<Request> {
        r.credentials = self.credentials.clone();
        r.headers.push(("host".into(), self.host().to_owned()));
        r.headers.extend(self.headers.iter().cloned());
        if r.header("user-agent").is_none() {
            let agent = format!("kubectl/{} (linux/amd64) kubernetes", crate::VERSION);
            r.headers.push(("user-agent".into(), agent));
        }
        Arc::new(r)
    }

    /// Opens a stream; gives its head if the server agrees.
    pub fn stream(&self, cx: &mut Cx<'_>, r: Request) -> Done<(Handle, Response)> {
        let handle = cx.open(&self.server, self.prepared(r))?.map_err(|e| self.unreachable(&e))?;
        match cx.recv(handle)?.map_err(|e| self.unreachable(&e))? {
            Some(Packet::Response(r)) => {
                for w in &r.warnings {
                    cx.warn(w);
                }
                if r.is_ok() {
                    return Ok((handle, r));
                }
                cx.close(handle)?;
                Err(failure(&r).into())
            }
            _ => Err(self.unreachable("EOF").into()),
        }
    }

    /// Opens a conversation in which the server answers with the bytes that it sends over HTTP.
    pub fn open_raw(&self, cx: &mut Cx<'_>, r: Request) -> Done<Result<Handle, String>> {
        cx.open(&format!("{RAW}{}", self.server), self.prepared(r))
    }

    fn unreachable(&self, why: &str) -> Error {
        if why.contains("refused") {
            Error::Refused(self.host().to_owned())
        } else {
            Error::Unreachable(why.to_owned())
        }
    }

    /// Sends a request and takes the whole answer, good or bad.
    pub fn send(&self, cx: &mut Cx<'_>, r: Request) -> Done<Response> {
        let handle = cx.open(&self.server, self.prepared(r))?.map_err(|e| self.unreachable(&e))?;
        let answer = match cx.recv(handle)?.map_err(|e| self.unreachable(&e))? {
            Some(Packet::Response(r)) => r,
            _ => return Err(self.unreachable("EOF").into()),
        };
        let answer = if answer.stream { self.drain(cx, handle, answer)? } else { answer };
        cx.close(handle)?;
        for w in &answer.warnings {
            cx.warn(w);
        }
        Ok(answer)
    }

    /// Takes the messages of a streamed body.
    fn drain(&self, cx: &mut Cx<'_>, handle: Handle, mut answer: Response) -> Done<Response> {
        let mut body = Vec::new();
        while let Some(p) = cx.recv(handle)?.map_err(|e| self.unreachable(&e))? {
            match p {
                Packet::Message(api::wire::Message::Data(_, d)) => body.extend_from_slice(&d),
                Packet::Message(api::wire::Message::Close(_)) => break,
                _ => {}
            }
        }
        answer.body = Body::Bytes(body.into());
        answer.stream = false;
        Ok(answer)
    }

    /// Sends a request and gives the object of a good answer.
    pub fn call(&self, cx: &mut Cx<'_>, r: Request) -> Done<Value> {
        let answer = self.send(cx, r)?;
        if answer.is_ok() { Ok(body(&answer)) } else { Err(failure(&answer).into()) }
    }

    /// `GET path`
    pub fn get(&self, cx: &mut Cx<'_>, path: &str) -> Done<Value> {
        self.call(cx, Request::get(path))
    }
}

/// The object of an answer, decoded where it came as text.
pub fn body(r: &Response) -> Value {
    match &r.body {
        Body::Object(v) => v.clone(),
        Body::Bytes(b) => {
            let text = String::from_utf8_lossy(b);
            match api::parse_json(&text) {
                Ok((v, _)) => v,
                Err(_) => Value::str(text.into_owned()),
            }
        }
        Body::Empty => Value::Null,
    }
}

/// The error of a bad answer.
pub fn failure(r: &Response) -> Error {
    let v = body(r);
    if v.kind() == "Status" {
        return Error::Status(v);
    }
    let reason = match r.status {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        _ => "",
    };
    let message = match r.status {
        404 => "the server could not find the requested resource".to_owned(),
        503 => "the server is currently unable to handle the request".to_owned(),
        _ => v.text().to_owned(),
    };
    Error::Status(
        api::obj!({"kind": "Status", "reason": reason, "message": message, "code": i64::from(r.status)}),
    )
}

fn impersonation(args: &Args, user: &Value) -> Vec<(SmolStr, String)> {
    let mut out: Vec<(SmolStr, String)> = Vec::new();
    let name = match args.str("as") {
        s if s.is_empty() => user.get("as").text().to_owned(),
        s => s,
    };
    if !name.is_empty() {
        out.push(("impersonate-user".into(), name));
    }
    let uid = args.str("as-uid");
    if !uid.is_empty() {
        out.push(("impersonate-uid".into(), uid));
    }
    for extra in args.list("as-user-extra") {
        if let Some((k, v)) = extra.split_once('=') {
            out.push((format!("impersonate-extra-{}", k.to_lowercase()).into(), v.to_owned()));
        }
    }
    let groups = args.list("as-group");
    if groups.is_empty() {
        out.extend(user.get("as-groups").items().map(|g| ("impersonate-group".into(), g.text().to_owned())));
    }
    out.extend(groups.iter().map(|g| ("impersonate-group".into(), g.clone())));
    out
}

fn credentials(cx: &mut Cx<'_>, args: &Args, user: &Value) -> Done<Credentials> {
    let token = args.str("token");
    if !token.is_empty() {
        return Ok(Credentials::Bearer(token.into()));
    }
    let name = args.str("username");
    if !name.is_empty() {
        return Ok(Credentials::Basic { user: name.into(), password: args.str("password").into() });
    }
    let file = match args.str("client-certificate") {
        f if f.is_empty() => user.get("client-certificate").text().to_owned(),
        f => f,
    };
    let data = user.get("client-certificate-data").text();
    let pem = if !data.is_empty() && args.str("client-certificate").is_empty() {
        decode(data)
    } else if !file.is_empty() {
        match cx.read_file(&file)? {
            Ok(b) => String::from_utf8_lossy(&b).into_owned(),
            Err(e) => {
                return Err(
                    Error::Text(format!("unable to read client-cert {file}: open {file}: {e}")).into()
                );
            }
        }
    } else {
        String::new()
    };
    if let Some(subject) = x509::subject(&pem) {
        return Ok(Credentials::Certificate { name: subject.name, groups: subject.groups });
    }
    let token = user.get("token").text();
    if !token.is_empty() {
        return Ok(Credentials::Bearer(token.into()));
    }
    let file = user.get("tokenFile").text();
    if !file.is_empty()
        && let Ok(b) = cx.read_file(file)?
    {
        return Ok(Credentials::Bearer(String::from_utf8_lossy(&b).trim().into()));
    }
    let name = user.get("username").text();
    if !name.is_empty() {
        return Ok(Credentials::Basic { user: name.into(), password: user.get("password").smol() });
    }
    Ok(Credentials::Anonymous)
}

fn decode(data: &str) -> String {
    use base64::Engine;
    let compact: String = data.split_ascii_whitespace().collect();
    base64::engine::general_purpose::STANDARD
        .decode(compact)
        .map(|b| String::from_utf8_lossy(&b).into_owned())
        .unwrap_or_default()
}

/// A pod's own account, where nothing else is configured.
fn in_cluster(
    cx: &mut Cx<'_>,
    server: &mut String,
    credentials: &mut Credentials,
    namespace: &mut String,
) -> Done {
    let (Some(host), Some(port)) = (cx.var("KUBERNETES_SERVICE_HOST")?, cx.var("KUBERNETES_SERVICE_PORT")?)
    else {
        return Ok(());
    };
    let Ok(token) = cx.read_file(&format!("{TOKEN_DIR}/token"))? else { return Ok(()) };
    *server = if host.contains(':') {
        format!("https://[{host}]:{port}")
    } else {
        format!("https://{host}:{port}")
    };
    if *credentials == Credentials::Anonymous {
        *credentials = Credentials::Bearer(String::from_utf8_lossy(&token).trim().into());
    }
    if namespace.is_empty()
        && let Ok(ns) = cx.read_file(&format!("{TOKEN_DIR}/namespace"))?
    {
        *namespace = String::from_utf8_lossy(&ns).trim().to_owned();
    }
    Ok(())
}

/// Adds a header; for builders of requests.
pub fn request(method: Method, path: impl Into<String>) -> Request {
    Request::new(method, path).with_header("accept", "application/json")
}
