//! Impersonation: who may act as whom.
//!
//! Models: constrained impersonation of v1.36. Each mode asks first whether the request may be made as someone else at
//! all, then for each attribute of the wanted user; the old all-or-nothing verb `impersonate` comes last. A refusal has
//! the words of the first mode that applied. The mode of a node's own service accounts is left out.

use crate::auth::{Attributes, User, forbidden_message};
use crate::request::{self, Path, parse_path};
use crate::server::Cx;
use crate::{ApiServer, Status};
use api::SmolStr;
use api::wire::Request;

const AUTHENTICATION: &str = "authentication.k8s.io";

/// The user of the headers, as sent.
struct Wanted {
    name: SmolStr,
    uid: SmolStr,
    groups: Vec<SmolStr>,
    extra: Vec<(SmolStr, Vec<SmolStr>)>,
}

impl Wanted {
    fn of(req: &Request) -> Wanted {
        let one = |name: &str| req.header(name).unwrap_or("").into();
        let mut extra: Vec<(SmolStr, Vec<SmolStr>)> = Vec::new();
        for (k, v) in &req.headers {
            let Some(key) = k.strip_prefix("impersonate-extra-") else { continue };
            let key: SmolStr = api::wire::unescape(key, false).to_lowercase().into();
            match extra.iter_mut().find(|(k, _)| *k == key) {
                Some((_, list)) => list.push(v.into()),
                None => extra.push((key, vec![v.into()])),
            }
        }
        extra.sort();
        let groups = req.headers.iter().filter(|(k, _)| k == "impersonate-group").map(|(_, v)| v.into());
        Wanted { name: one("impersonate-user"), uid: one("impersonate-uid"), groups: groups.collect(), extra }
    }

    fn only_a_name(&self) -> bool {
        self.uid.is_empty() && self.groups.is_empty() && self.extra.is_empty()
    }

    fn service_account(&self) -> Option<(&str, &str)> {
        self.name.strip_prefix("system:serviceaccount:")?.split_once(':')
    }

    fn node(&self) -> Option<&str> {
        self.name.strip_prefix("system:node:").filter(|n| !n.is_empty())
    }

    /// The modes that apply, the old one last as "".
    fn modes(&self) -> Vec<&'static str> {
        let special = match (self.node(), self.service_account()) {
            (Some(_), _) => Some("arbitrary-node"),
            (_, Some(_)) => Some("serviceaccount"),
            _ => None,
        };
        match special {
            Some(m) if self.only_a_name() => vec![m, ""],
            Some(_) => vec![""],
            None => vec!["user-info", ""],
        }
    }

    /// As Go prints it with `%#v`.
    fn go(&self) -> String {
        let list = |v: &[SmolStr]| v.iter().map(|s| format!("{s:?}")).collect::<Vec<_>>().join(", ");
        let groups = match self.groups.len() {
            0 => "[]string(nil)".to_owned(),
            _ => format!("[]string{{{}}}", list(&self.groups)),
        };
        let extra = match self.extra.len() {
            0 => "map[string][]string(nil)".to_owned(),
            _ => {
                let all: Vec<String> =
                    self.extra.iter().map(|(k, v)| format!("{k:?}:[]string{{{}}}", list(v))).collect();
                format!("map[string][]string{{{}}}", all.join(", "))
            }
        };
        format!(
            "&user.DefaultInfo{{Name:{:?}, UID:{:?}, Groups:{groups}, Extra:{extra}}}",
            self.name.as_str(),
            self.uid.as_str()
        )
    }
}

impl ApiServer {
    /// Makes the request one of the user that its headers name.
    pub(crate) fn impersonate(&mut self, cx: &mut Cx, req: &Request) -> Result<(), Status> {
        let wanted = Wanted::of(req);
        if wanted.name.is_empty() {
            if wanted.only_a_name() {
                return Ok(());
            }
            let m = format!("requested {} without impersonating a user name", wanted.go());
            return Err(Status::bad_request(m));
        }
        let mut refusal = None;
        for mode in wanted.modes() {
            match self.impersonates(&cx.user.clone(), req, &wanted, mode) {
                Ok(()) => {
                    cx.user = actual(wanted);
                    return Ok(());
                }
                Err(e) => refusal = refusal.or(Some(e)),
            }
        }
        Err(refusal.unwrap_or_else(|| Status::new(500, "", "all impersonation modes failed")))
    }

    fn allowed(&mut self, user: &User, a: &Attributes<'_>) -> Result<(), Status> {
        match self.authorize(user, a) {
            Some(_) => Ok(()),
            None => Err(Status::forbidden(a.group, a.resource, a.name, &forbidden_message(user, a))),
        }
    }

    fn impersonates(&mut self, user: &User, req: &Request, w: &Wanted, mode: &str) -> Result<(), Status> {
        let verb = if mode.is_empty() { "impersonate".to_owned() } else { format!("impersonate:{mode}") };
        if !mode.is_empty() {
            self.may_on(user, req, mode)?;
        }
        let group = if mode.is_empty() { "" } else { AUTHENTICATION };
        let bare = Attributes {
            verb: &verb,
            group,
            version: "v1",
            resource: "users",
            sub: "",
            namespace: "",
            name: &w.name,
            path: "",
        };
        let named = match (w.service_account(), w.node()) {
            (Some((namespace, name)), _) => {
                Attributes { resource: "serviceaccounts", namespace, name, ..bare }
            }
            (None, Some(name)) if !mode.is_empty() => Attributes { resource: "nodes", name, ..bare },
            _ => bare,
        };
        self.allowed(user, &named)?;
        if !w.uid.is_empty() {
            self.allowed(
                user,
                &Attributes { group: AUTHENTICATION, resource: "uids", name: &w.uid, ..bare },
            )?;
        }
        for g in &w.groups {
            self.allowed(user, &Attributes { resource: "groups", name: g, ..bare })?;
        }
        for (key, values) in &w.extra {
            for v in values {
                let a =
                    Attributes { group: AUTHENTICATION, resource: "userextras", sub: key, name: v, ..bare };
                self.allowed(user, &a)?;
            }
        }
        Ok(())
    }

    /// Whether this request may be made as someone else.
    fn may_on(&mut self, user: &User, req: &Request, mode: &str) -> Result<(), Status> {
        match parse_path(&req.path) {
            Path::Resource { group, version, plural, namespace, name, sub } => {
                let verb = format!("impersonate-on:{mode}:{}", request::verb(req, name).as_str());
                let sub = sub.split('/').next().unwrap_or("");
                let a = Attributes {
                    verb: &verb,
                    group,
                    version,
                    resource: plural,
                    sub,
                    namespace,
                    name,
                    path: "",
                };
                self.allowed(user, &a)
            }
            Path::Other => {
                let verb = format!("impersonate-on:{mode}:{}", req.method.as_str().to_lowercase());
                let a = Attributes {
                    verb: &verb,
                    group: "",
                    version: "",
                    resource: "",
                    sub: "",
                    namespace: "",
                    name: "",
                    path: &req.path,
                };
                self.allowed(user, &a)
            }
        }
    }
}

/// The user with the groups that go with the name.
fn actual(w: Wanted) -> User {
    let mut groups = w.groups.clone();
    if groups.is_empty() {
        if let Some((ns, _)) = w.service_account() {
            groups.push("system:serviceaccounts".into());
            groups.push(format!("system:serviceaccounts:{ns}").into());
        } else if w.node().is_some() && w.only_a_name() {
            groups.push("system:nodes".into());
        }
    }
    if w.name != "system:anonymous"
        && !groups.iter().any(|g| g == "system:authenticated" || g == "system:unauthenticated")
    {
        groups.push("system:authenticated".into());
    }
    if w.name == "system:anonymous" && groups.is_empty() {
        groups.push("system:unauthenticated".into());
    }
    User { name: w.name, groups, uid: w.uid, extra: w.extra }
}
