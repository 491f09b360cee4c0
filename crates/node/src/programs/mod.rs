//! What the images run: one file a program, all registered in [`TABLE`].
//!
//! HTTP servers share [`server`]; messages are parsed by [`shell::http`].

mod fortune;
mod kubia;
mod nginx;
mod pause;
pub mod server;

use shell::program::Entry;

/// The programs that the images' binaries name.
pub static TABLE: &[Entry] = &[
    Entry {
        names: &["busybox"],
        help: ": the multi-call binary of small images",
        main: shell::commands::busybox,
    },
    Entry { names: &["pause"], help: ": holds a pod's namespaces", main: pause::main },
    Entry { names: &["node"], help: "FILE: the book's node.js applications", main: kubia::main },
    Entry {
        names: &["nginx"],
        help: "[-t] [-g DIRECTIVES] [-s SIGNAL] [-c FILE]: the web server",
        main: nginx::main,
    },
    Entry { names: &["fortune"], help: ": a random saying", main: fortune::main },
];
