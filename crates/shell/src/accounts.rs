//! Accounts: `/etc/passwd` and `/etc/group` as the userland reads them.

use crate::io;
use crate::sys::Sys;

/// A line of `/etc/passwd`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// Login name.
    pub name: String,
    /// Number.
    pub uid: u32,
    /// Main group.
    pub gid: u32,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
}

/// A line of `/etc/group`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// Name.
    pub name: String,
    /// Number.
    pub gid: u32,
    /// Members.
    pub members: Vec<String>,
}

/// All users.
pub fn users(sys: &mut dyn Sys) -> Vec<User> {
    let text = io::read_text(sys, "/etc/passwd").unwrap_or_default();
    parse_users(&text)
}

/// The users of a text in the form of `/etc/passwd`.
pub fn parse_users(text: &str) -> Vec<User> {
    text.lines()
        .filter_map(|l| {
            let f: Vec<&str> = l.split(':').collect();
            Some(User {
                name: f.first()?.to_string(),
                uid: f.get(2)?.parse().ok()?,
                gid: f.get(3)?.parse().ok()?,
                home: f.get(5)?.to_string(),
                shell: f.get(6)?.to_string(),
            })
        })
        .collect()
}

/// All groups.
pub fn groups(sys: &mut dyn Sys) -> Vec<Group> {
    let text = io::read_text(sys, "/etc/group").unwrap_or_default();
    parse_groups(&text)
}

/// The groups of a text in the form of `/etc/group`.
pub fn parse_groups(text: &str) -> Vec<Group> {
    text.lines()
        .filter_map(|l| {
            let f: Vec<&str> = l.split(':').collect();
            Some(Group {
                name: f.first()?.to_string(),
                gid: f.get(2)?.parse().ok()?,
                members: f.get(3).map_or_else(Vec::new, |m| {
                    m.split(',').filter(|m| !m.is_empty()).map(str::to_string).collect()
                }),
            })
        })
        .collect()
}

/// The user of that name.
pub fn user_named(sys: &mut dyn Sys, name: &str) -> Option<User> {
    users(sys).into_iter().find(|u| u.name == name)
}

/// A user's name, or the number if it has none.
pub fn user_name(sys: &mut dyn Sys, uid: u32) -> String {
    users(sys).into_iter().find(|u| u.uid == uid).map_or_else(|| uid.to_string(), |u| u.name)
}

/// A group's name, or the number if it has none.
pub fn group_name(sys: &mut dyn Sys, gid: u32) -> String {
    groups(sys).into_iter().find(|g| g.gid == gid).map_or_else(|| gid.to_string(), |g| g.name)
}
