//! `gateway [--port N] [--fake N] [--speed X] [--book]`: a cluster behind HTTP on the loopback. `$KUBARIUM_TEXTS` names the
//! file of the fields' texts, if there is one.

use cluster::{Setup, World};
use gateway::Driver;
use std::process::ExitCode;

struct Args {
    port: u16,
    fake: usize,
    speed: f64,
    book: bool,
}

fn args() -> Result<Args, String> {
    let mut a = Args { port: 8001, fake: 0, speed: 1.0, book: false };
    let mut it = std::env::args().skip(1);
    while let Some(flag) = it.next() {
        if flag == "--book" {
            a.book = true;
            continue;
        }
        let (flag, inline) = match flag.split_once('=') {
            Some((f, v)) => (f.to_owned(), Some(v.to_owned())),
            None => (flag, None),
        };
        let mut value = || inline.clone().or_else(|| it.next()).ok_or(format!("{flag} needs a value"));
        match flag.as_str() {
            "--port" => a.port = value()?.parse().map_err(|_| "--port takes a number from 1 to 65535")?,
            "--fake" => a.fake = value()?.parse().map_err(|_| "--fake takes a number of nodes")?,
            "--speed" => a.speed = value()?.parse().map_err(|_| "--speed takes a number, 1 is real time")?,
            _ => return Err(format!("unknown flag {flag}; known are --port N, --fake N, --speed X, --book")),
        }
    }
    Ok(a)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let a = match args() {
        Ok(a) => a,
        Err(e) => {
            eprintln!("gateway: {e}");
            return ExitCode::from(2);
        }
    };
    let setup = if a.fake > 0 { Setup::fake(a.fake) } else { Setup::default_cluster() };
    // Clients compare times with their own clock: the cluster's epoch is now.
    let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let mut setup = setup;
    if a.fake > 0 {
        // The administrator of recorded cases.
        setup
            .settings
            .tokens
            .push(("admintoken".into(), apiserver::auth::User::new("admin", &["system:masters"])));
    }
    setup.settings.book_mode = a.book;
    setup.settings.epoch = sim::Epoch(unix as i64);
    let mut world = World::new(sim::Seed(1), setup);
    let texts = std::env::var_os("KUBARIUM_TEXTS").and_then(|f| std::fs::read(f).ok());
    if let Some(texts) = texts.and_then(|b| apiserver::Texts::read(&b)) {
        world.set_texts(texts.into());
    }
    let (driver, handle) = Driver::new(world, a.speed);
    println!("{}", kubeconfig(a.port));
    eprintln!("serving on http://127.0.0.1:{}; the kubeconfig above leads there", a.port);
    let server = gateway::serve(a.port, handle);
    tokio::select! {
        () = driver.run() => ExitCode::SUCCESS,
        r = server => match r {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => {
                eprintln!("gateway: cannot serve on port {}: {e}; choose another with --port", a.port);
                ExitCode::FAILURE
            }
        },
    }
}

fn kubeconfig(port: u16) -> String {
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: kubarium\n  cluster:\n    server: http://127.0.0.1:{port}\n\
         contexts:\n- name: kubarium\n  context:\n    cluster: kubarium\n    user: admin\ncurrent-context: kubarium\n\
         users:\n- name: admin\n  user: {{}}"
    )
}
