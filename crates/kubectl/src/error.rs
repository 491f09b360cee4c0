//! Errors as kubectl prints them. Models: `kubectl/pkg/cmd/util` (`CheckErr`).

use api::Value;
use core::fmt;

/// Why a command failed.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// A message; printed behind `error: `.
    Text(String),
    /// A message printed as it is.
    Plain(String),
    /// The server's `Status`.
    Status(Value),
    /// The server has no such resource.
    NoResource {
        /// Resource.
        resource: String,
        /// Group, "" where none was named.
        group: String,
        /// Version likewise.
        version: String,
    },
    /// Several, in order.
    Many(Vec<Error>),
    /// Ends with this code and says the text, if any, behind `error: `.
    Code(i32, String),
    /// No connection to this server.
    Refused(String),
    /// No connection, for another reason.
    Unreachable(String),
}

impl Error {
    /// A message.
    pub fn text(s: impl Into<String>) -> Error {
        Error::Text(s.into())
    }

    /// A misuse of a command: a message with the hint at its help. `path` is `kubectl get`.
    pub fn usage(path: &str, s: impl fmt::Display) -> Error {
        Error::Text(format!("{s}\nSee '{path} -h' for help and examples"))
    }

    /// One error of a list.
    pub fn many(mut all: Vec<Error>) -> Option<Error> {
        match all.len() {
            0 => None,
            1 => all.pop(),
            _ => Some(Error::Many(all)),
        }
    }

    /// The reason of a status, "" for other errors.
    pub fn reason(&self) -> &str {
        match self {
            Error::Status(s) => s.get("reason").text(),
            _ => "",
        }
    }

    /// Whether the server said `NotFound`.
    pub fn is_not_found(&self) -> bool {
        self.reason() == "NotFound"
    }

    /// The message alone, as Go's `err.Error()`.
    pub fn message(&self) -> String {
        match self {
            Error::Text(s) | Error::Plain(s) | Error::Code(_, s) => s.clone(),
            Error::Status(s) => s.get("message").text().to_owned(),
            Error::NoResource { resource, group, version } => {
                let q = api::gofmt::quote;
                match (group.as_str(), version.as_str()) {
                    ("", "") => format!("the server doesn't have a resource type {}", q(resource)),
                    (g, "") => {
                        format!("the server doesn't have a resource type {} in group {}", q(resource), q(g))
                    }
                    ("", v) => {
                        format!("the server doesn't have a resource type {} in version {}", q(resource), q(v))
                    }
                    (g, v) => format!(
                        "the server doesn't have a resource type {} in group {} and version {}",
                        q(resource),
                        q(g),
                        q(v)
                    ),
                }
            }
            Error::Many(all) => {
                let texts: Vec<String> = all.iter().map(Error::message).collect();
                format!("[{}]", texts.join(", "))
            }
            Error::Refused(host) => format!("dial tcp {host}: connect: connection refused"),
            Error::Unreachable(why) => why.clone(),
        }
    }

    /// Puts words before the message, keeping a status a status.
    pub fn prefixed(self, prefix: impl fmt::Display) -> Error {
        match self {
            Error::Status(mut s) => {
                let message = format!("{prefix}{}", s.get("message").text());
                s.insert("message", message);
                Error::Status(s)
            }
            Error::Text(s) => Error::Text(format!("{prefix}{s}")),
            Error::Plain(s) => Error::Plain(format!("{prefix}{s}")),
            other => other,
        }
    }

    /// The message with the standard words in front that a status or a broken connection gets.
    fn standard(&self) -> Option<String> {
        match self {
            Error::Status(s) => {
                let message = s.get("message").text();
                Some(match s.get("reason").text() {
                    "Unauthorized" => format!("error: You must be logged in to the server ({message})"),
                    "" => format!("Error from server: {message}"),
                    reason => format!("Error from server ({reason}): {message}"),
                })
            }
            Error::Refused(host) => Some(format!(
                "The connection to the server {host} was refused - did you specify the right host or port?"
            )),
            Error::Unreachable(why) => Some(format!("Unable to connect to the server: {why}")),
            _ => None,
        }
    }

    fn invalid(s: &Value) -> String {
        let details = s.get("details");
        let message = s.get("message").text();
        let causes: Vec<String> = details
            .get("causes")
            .items()
            .map(|c| match c.get("field").text() {
                "" => c.get("message").text().to_owned(),
                field => format!("{field}: {}", c.get("message").text()),
            })
            .collect();
        let (kind, name) = (details.get("kind").text(), details.get("name").text());
        let mut out = if details.is_null() {
            return if message.is_empty() {
                "The request is invalid".into()
            } else {
                format!("The request is invalid: {message}")
            };
        } else if !kind.is_empty() || !name.is_empty() {
            format!("The {kind} {} is invalid", api::gofmt::quote(name))
        } else if !message.is_empty() && causes.is_empty() {
            format!("The request is invalid: {message}")
        } else {
            "The request is invalid".into()
        };
        let mut unique: Vec<String> = Vec::new();
        for c in causes {
            if !unique.contains(&c) {
                unique.push(c);
            }
        }
        match unique.len() {
            0 => {}
            1 => out += &format!(": {}", unique[0]),
            _ => {
                out += ": \n";
                for c in unique {
                    out += &format!("* {c}\n");
                }
            }
        }
        out
    }

    /// What is printed on standard error, and the exit code.
    pub fn report(&self) -> (String, i32) {
        let mut code = 1;
        let mut text = match self {
            Error::Status(s) if s.get("reason").text() == "Invalid" => Error::invalid(s),
            Error::Many(all) => {
                all.iter().map(|e| e.standard().unwrap_or_else(|| e.message()) + "\n").collect()
            }
            Error::Code(c, s) => {
                code = *c;
                s.clone()
            }
            Error::Plain(s) => s.clone(),
            Error::NoResource { .. } => self.message(),
            e => e.standard().unwrap_or_else(|| {
                let m = e.message();
                if m.starts_with("error: ") { m } else { format!("error: {m}") }
            }),
        };
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        (text, code)
    }
}

impl From<String> for Error {
    fn from(s: String) -> Error {
        Error::Text(s)
    }
}

impl From<&str> for Error {
    fn from(s: &str) -> Error {
        Error::Text(s.into())
    }
}
