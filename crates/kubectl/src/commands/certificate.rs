//! `kubectl certificate`

use super::common::FILES;
use crate::command::{Args, Command, Group};
use crate::cx::{Cx, Done};
use crate::error::Error;
use crate::flags::{Flag, switch};
use crate::print::{self, DryRun};
use crate::resource::{Builder, each};
use api::wire::{Body, Method, Request};
use api::{gofmt, obj};

/// The command.
pub static COMMAND: Command = Command {
    name: "certificate",
    group: Group::Cluster,
    short: "Modify certificate resources",
    long: "Approves and denies certificate signing requests.",
    usage: "certificate SUBCOMMAND",
    subs: &[&APPROVE, &DENY],
    ..Command::EMPTY
};

const FLAGS: &[Flag] = &[switch("force", "Set the condition even if it is set already.")];

static APPROVE: Command = Command {
    name: "approve",
    short: "Approve a certificate signing request",
    long: "Approves a certificate signing request: a signer may issue the certificate then. Look at what it asks for first: \
           whoever holds the certificate can be that user.",
    usage: "approve (-f FILENAME | NAME)",
    example: "# One request\nkubectl certificate approve ann",
    flags: &[FLAGS, FILES, print::FLAGS],
    run: Some(|cx, a| decide(cx, a, true)),
    ..Command::EMPTY
};

static DENY: Command = Command {
    name: "deny",
    short: "Deny a certificate signing request",
    long: "Denies a certificate signing request: no certificate is issued.",
    usage: "deny (-f FILENAME | NAME)",
    example: "# One request\nkubectl certificate deny ann",
    flags: &[FLAGS, FILES, print::FLAGS],
    run: Some(|cx, a| decide(cx, a, false)),
    ..Command::EMPTY
};

fn decide(cx: &mut Cx<'_>, a: &Args, approve: bool) -> Done {
    let mut words = Vec::new();
    if !a.words.is_empty() {
        words.push("certificatesigningrequests".to_owned());
        words.extend(a.words.iter().cloned());
    }
    let builder = Builder::new(a, &words);
    if words.is_empty() && !builder.has_files() {
        return Err(Error::text("one or more CSRs must be specified as <name> or -f <filename>").into());
    }
    let (kind, other, done) =
        if approve { ("Approved", "Denied", "approved") } else { ("Denied", "Approved", "denied") };
    let mut printer = print::result_printer(cx, a, done, DryRun::None)?;
    let api = cx.api(a)?;
    let infos = builder.infos(cx, &api)?;
    each(cx, infos, |cx, i| {
        let mut v = i.object.clone();
        if v.condition(other).is_some() {
            return Err(Error::Text(format!(
                "certificate signing request {} is already {other}",
                gofmt::quote(&i.name)
            ))
            .into());
        }
        if v.condition(kind).is_null() || a.bool("force") {
            let now = cx.civil()?.rfc3339();
            let word = if approve { "approve" } else { "deny" };
            let reason = if approve { "KubectlApprove" } else { "KubectlDeny" };
            let c = obj!({
                "type": kind, "status": "True", "reason": reason,
                "message": format!("This CSR was {done} by kubectl certificate {word}."), "lastUpdateTime": now
            });
            if v.condition(kind).is_null() {
                v.push_at(&["status", "conditions"], c);
            }
            let r = Request::new(Method::Put, format!("{}/approval", i.path()))
                .with_header("content-type", "application/json")
                .with_body(Body::Object(v));
            v = api.call(cx, r)?;
        }
        printer.print(cx, &v, a.bool("show-managed-fields"))
    })
}
