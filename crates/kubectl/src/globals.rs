//! Flags that every command takes.

use crate::command::Args;
use crate::error::Error;
use crate::flags::{Flag, Kind, flag, switch};

/// The global flags, as `kubectl options` lists them.
pub const FLAGS: &[Flag] = &[
    flag("as", Kind::Str, "''", "User to act as: an ordinary user or a service account of a namespace."),
    flag("as-group", Kind::Array, "[]", "Group to act as; may be given several times for several groups."),
    flag("as-uid", Kind::Str, "''", "UID to act as."),
    flag(
        "as-user-extra",
        Kind::Array,
        "[]",
        "Extra of the user to act as, KEY=VALUE; may be given several times.",
    ),
    flag(
        "cache-dir",
        Kind::Str,
        "'/root/.kube/cache'",
        "Directory for cached discovery; nothing is cached here.",
    ),
    flag(
        "certificate-authority",
        Kind::Str,
        "''",
        "File with the certificates that the server's must be signed by",
    ),
    flag("client-certificate", Kind::Str, "''", "File with the client certificate for TLS"),
    flag("client-key", Kind::Str, "''", "File with the client key for TLS"),
    flag("cluster", Kind::Str, "''", "Name of the kubeconfig cluster to talk to"),
    flag("context", Kind::Str, "''", "Name of the kubeconfig context to use"),
    switch("disable-compression", "Ask the server for answers without compression"),
    switch(
        "insecure-skip-tls-verify",
        "Take the server's certificate unchecked: anyone could pose as the server.",
    ),
    flag("kubeconfig", Kind::Str, "''", "File with the configuration for requests."),
    flag(
        "kuberc",
        Kind::Str,
        "''",
        "File with preferences. KUBECTL_KUBERC=false or KUBERC=off switches them off.",
    ),
    flag("log-flush-frequency", Kind::Duration, "5s", "How often the log is written out"),
    switch("match-server-version", "Fail unless client and server have the same version"),
    flag("namespace", Kind::Str, "''", "Namespace of this request").short('n'),
    flag("password", Kind::Str, "''", "Password for basic authentication to the server"),
    flag(
        "profile",
        Kind::Str,
        "'none'",
        "Name of a profile to record. One of (none|cpu|heap|goroutine|threadcreate|block|mutex|trace)",
    ),
    flag("profile-output", Kind::Str, "'profile.pprof'", "File for the profile"),
    flag(
        "request-timeout",
        Kind::Str,
        "'0'",
        "How long to wait for an answer before giving up, as a number with a unit (1s, 2m, 3h). Zero is for ever.",
    ),
    flag("server", Kind::Str, "''", "Address and port of the API server").short('s'),
    flag(
        "tls-server-name",
        Kind::Str,
        "''",
        "Name that the server's certificate must bear, if not its address",
    ),
    flag("token", Kind::Str, "''", "Bearer token to authenticate with"),
    flag("user", Kind::Str, "''", "Name of the kubeconfig user to be"),
    flag("username", Kind::Str, "''", "User name for basic authentication to the server"),
    flag("v", Kind::Int, "0", "How much to log").short('v'),
    flag("vmodule", Kind::Str, "", "How much to log a file, pattern=N with commas between"),
    switch("warnings-as-errors", "Treat the server's warnings as errors: exit with a code other than zero"),
];

/// A global flag by its name, or by `-` and its letter.
pub fn find(name: &str) -> Option<&'static Flag> {
    let letter = name.strip_prefix('-').and_then(|n| n.chars().next());
    FLAGS.iter().find(|f| match letter {
        Some(c) => f.short == c,
        None => f.name == name,
    })
}

/// Checks values that only make sense together or in a certain form.
pub fn check(a: &Args) -> Result<(), Error> {
    let t = a.str("request-timeout");
    if !t.bytes().all(|c| c.is_ascii_digit()) && api::duration::parse(&t).is_err() {
        return Err(Error::text("Invalid timeout value. Timeout must be a single integer in seconds, or an integer followed by a \
             corresponding time unit (e.g. 1s | 2m | 3h)".to_string()));
    }
    Ok(())
}
