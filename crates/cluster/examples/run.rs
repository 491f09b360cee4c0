//! Runs shell lines on the workstation of a fresh default cluster: `cargo run -p cluster --example run -- LINE…`.
//! `$KUBARIUM_TEXTS` names the file of the fields' texts, if there is one.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::disallowed_macros)]

use cluster::{Command, Setup, World};
use sim::{Duration, Seed};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut w = World::new(Seed(7), Setup::default_cluster());
    let texts = std::env::var_os("KUBARIUM_TEXTS").and_then(|f| std::fs::read(f).ok());
    if let Some(texts) = texts.and_then(|b| apiserver::Texts::read(&b)) {
        w.set_texts(texts.into());
    }
    while !w.nodes_ready() {
        w.run_until(w.now() + Duration::from_secs(1));
    }
    let mut last = 0;
    for line in std::env::args().skip(1) {
        println!("$ {line}");
        let job = w.next_job();
        w.command(Command::Run { job, line: line.clone(), stdin: String::new() });
        let until = w.now() + Duration::from_secs(300);
        loop {
            w.run_until(w.now() + Duration::from_millis(50));
            match w.job(job) {
                Some((out, Some(code))) => {
                    print!("{}", String::from_utf8_lossy(out));
                    last = code;
                    break;
                }
                Some((out, None)) if w.now() >= until => {
                    print!("{}", String::from_utf8_lossy(out));
                    eprintln!("{line:?} does not end within five minutes of virtual time");
                    return ExitCode::FAILURE;
                }
                _ => {}
            }
        }
    }
    if std::env::var_os("TRACE").is_some() {
        for p in w.packets().iter().rev() {
            println!("{} {} {}", p.id, p.title, p.verdict);
            for h in &p.hops {
                println!("    {:<14} {:<24} {} {}", h.namespace, h.place, h.text, h.rewrite);
            }
        }
    }
    ExitCode::from(last.clamp(0, 255) as u8)
}
