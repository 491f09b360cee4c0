//! Container images as data: names, configuration, files, sizes.
//!
//! Each image is one entry of [`IMAGES`]: a base (which userland it has), files of its own, and the configuration that an
//! image carries (entrypoint, command, environment, user, ports). How its programs behave is in [`crate::programs`].
//! Models: what `docker.io`, `registry.k8s.io` and the book's repositories hold, at the level at which pods show it.

use shell::fs::{Inode, Tree};
use shell::program::Entry;
use smol_str::SmolStr;

/// A file of an image.
#[derive(Clone, Copy, Debug)]
pub enum File {
    /// A directory with its mode.
    Dir(&'static str, u32),
    /// A text file.
    Text(&'static str, u32, &'static str),
    /// A symbolic link.
    Link(&'static str, &'static str),
    /// An executable: path, program, size in bytes.
    Program(&'static str, &'static str, u64),
    /// Owner and group of a path.
    Owner(&'static str, u32, u32),
}

/// What an image builds upon.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Base {
    /// Nothing.
    Scratch,
    /// `busybox`: applets in `/bin`.
    Busybox,
    /// `alpine`: busybox, `apk`-like layout.
    Alpine,
    /// Debian: bash and the GNU tools, in `/usr/bin`.
    Debian,
}

/// An image.
#[derive(Clone, Copy, Debug)]
pub struct Image {
    /// Canonical repository, `docker.io/library/nginx`.
    pub repository: &'static str,
    /// Tags under which it is found.
    pub tags: &'static [&'static str],
    /// Compressed size, which is what a pull transfers.
    pub size_bytes: u64,
    /// What it builds upon.
    pub base: Base,
    /// Its own files.
    pub files: &'static [File],
    /// `ENTRYPOINT`
    pub entrypoint: &'static [&'static str],
    /// `CMD`
    pub cmd: &'static [&'static str],
    /// `ENV`
    pub env: &'static [(&'static str, &'static str)],
    /// `WORKDIR`
    pub workdir: &'static str,
    /// `USER`
    pub user: &'static str,
    /// `EXPOSE`
    pub ports: &'static [&'static str],
    /// `STOPSIGNAL`
    pub stop_signal: shell::Signal,
    /// `VOLUME`
    pub volumes: &'static [&'static str],
}

const PATH: (&str, &str) = ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");

const NONE: Image = Image {
    repository: "",
    tags: &["latest"],
    size_bytes: 0,
    base: Base::Scratch,
    files: &[],
    entrypoint: &[],
    cmd: &[],
    env: &[PATH],
    workdir: "/",
    user: "",
    ports: &[],
    stop_signal: shell::Signal::TERM,
    volumes: &[],
};

const KUBIA: Image = Image {
    repository: "docker.io/luksa/kubia",
    size_bytes: 263_817_000,
    base: Base::Debian,
    entrypoint: &["node", "app.js"],
    env: &[PATH, ("NPM_CONFIG_LOGLEVEL", "info"), ("NODE_VERSION", "7.9.0"), ("YARN_VERSION", "0.22.0")],
    ports: &["8080/tcp"],
    ..NONE
};

const fn app(name: &'static str) -> [File; 2] {
    [File::Program("/usr/local/bin/node", "node", 31_460_000), File::Text("/app.js", 0o644, name)]
}

const NGINX_CONF: &str = "
user  nginx;
worker_processes  auto;

error_log  /var/log/nginx/error.log notice;
pid        /run/nginx.pid;

events {
    worker_connections  1024;
}

http {
    include       /etc/nginx/mime.types;
    default_type  application/octet-stream;

    log_format  main  '$remote_addr - $remote_user [$time_local] \"$request\" '
                      '$status $body_bytes_sent \"$http_referer\" '
                      '\"$http_user_agent\" \"$http_x_forwarded_for\"';

    access_log  /var/log/nginx/access.log  main;

    sendfile        on;
    keepalive_timeout  65;

    include /etc/nginx/conf.d/*.conf;
}
";

const NGINX_DEFAULT: &str = "server {
    listen       80;
    listen  [::]:80;
    server_name  localhost;

    location / {
        root   /usr/share/nginx/html;
        index  index.html index.htm;
    }

    error_page   500 502 503 504  /50x.html;
    location = /50x.html {
        root   /usr/share/nginx/html;
    }
}
";

/// The page that the image serves before anybody puts another there.
const NGINX_INDEX: &str = "<!DOCTYPE html>
<html>
<head>
<title>Welcome to nginx!</title>
<style>
html { color-scheme: light dark; }
body { width: 35em; margin: 0 auto;
font-family: Tahoma, Verdana, Arial, sans-serif; }
</style>
</head>
<body>
<h1>Welcome to nginx!</h1>
<p>If you see this page, the nginx web server is successfully installed and
working. Further configuration is required.</p>

<p>For online documentation and support please refer to
<a href=\"http://nginx.org/\">nginx.org</a>.<br/>
Commercial support is available at
<a href=\"http://nginx.com/\">nginx.com</a>.</p>

<p><em>Thank you for using nginx.</em></p>
</body>
</html>
";

const NGINX_50X: &str = "<!DOCTYPE html>
<html>
<head><title>Error</title></head>
<body>
<h1>An error occurred.</h1>
<p>The page you are looking for is currently unavailable.</p>
</body>
</html>
";

const NGINX_ENTRYPOINT: &str = r#"#!/bin/sh
# Runs what lies in /docker-entrypoint.d, then the command.
set -e
log() { [ -n "${NGINX_ENTRYPOINT_QUIET_LOGS:-}" ] || echo "$@"; }
if [ "$1" = "nginx" ] || [ "$1" = "nginx-debug" ]; then
    log "$0: /docker-entrypoint.d/ is not empty, will attempt to perform configuration"
    log "$0: Looking for shell scripts in /docker-entrypoint.d/"
    for f in /docker-entrypoint.d/*; do
        case "$f" in
        *.envsh) log "$0: Sourcing $f"; . "$f" ;;
        *.sh) log "$0: Launching $f"; "$f" ;;
        *) log "$0: Ignoring $f" ;;
        esac
    done
    log "$0: Configuration complete; ready for start up"
fi
exec "$@"
"#;

const NGINX_IPV6: &str = r#"#!/bin/sh
me=10-listen-on-ipv6-by-default.sh
conf=/etc/nginx/conf.d/default.conf
[ -f "$conf" ] || { echo "$me: info: $conf is not a file or does not exist"; exit 0; }
touch "$conf" 2>/dev/null || { echo "$me: info: can not modify $conf (read-only file system?)"; exit 0; }
echo "$me: info: Getting the checksum of $conf"
echo "$me: info: Enabled listen on IPv6 in $conf"
"#;

const NGINX_FILES: &[File] = &[
    File::Program("/usr/sbin/nginx", "nginx", 1_571_000),
    File::Text("/docker-entrypoint.sh", 0o755, NGINX_ENTRYPOINT),
    File::Text("/docker-entrypoint.d/10-listen-on-ipv6-by-default.sh", 0o755, NGINX_IPV6),
    File::Text("/docker-entrypoint.d/15-local-resolvers.envsh", 0o755, "# Nothing to do.\n"),
    File::Text("/docker-entrypoint.d/20-envsubst-on-templates.sh", 0o755, "#!/bin/sh\nexit 0\n"),
    File::Text("/docker-entrypoint.d/30-tune-worker-processes.sh", 0o755, "#!/bin/sh\nexit 0\n"),
    File::Text("/etc/nginx/nginx.conf", 0o644, NGINX_CONF),
    File::Text("/etc/nginx/conf.d/default.conf", 0o644, NGINX_DEFAULT),
    File::Text(
        "/etc/nginx/mime.types",
        0o644,
        "types {\n    text/html html htm;\n    text/css css;\n    application/javascript js;\n    application/json json;\n    text/plain txt;\n    image/png png;\n    image/svg+xml svg;\n}\n",
    ),
    File::Text("/usr/share/nginx/html/index.html", 0o644, NGINX_INDEX),
    File::Text("/usr/share/nginx/html/50x.html", 0o644, NGINX_50X),
    File::Link("/var/log/nginx/access.log", "/dev/stdout"),
    File::Link("/var/log/nginx/error.log", "/dev/stderr"),
    File::Dir("/var/cache/nginx", 0o755),
    File::Dir("/run", 0o755),
];

const NGINX: Image = Image {
    repository: "docker.io/library/nginx",
    tags: &[
        "latest", "1", "1.27", "1.27.3", "1.26", "1.25", "1.24", "1.23", "1.21", "1.20", "1.19", "1.17",
        "1.16", "1.14.2", "1.7.9", "1.9.1", "stable", "mainline", "2", "3", "4", "5",
    ],
    size_bytes: 72_099_000,
    base: Base::Debian,
    files: NGINX_FILES,
    entrypoint: &["/docker-entrypoint.sh"],
    cmd: &["nginx", "-g", "daemon off;"],
    env: &[PATH, ("NGINX_VERSION", "1.27.3"), ("PKG_RELEASE", "1~bookworm")],
    ports: &["80/tcp"],
    stop_signal: shell::Signal::QUIT,
    ..NONE
};

const FORTUNE_LOOP: &str = r#"#!/bin/bash
trap "exit" SIGINT
mkdir -p /var/htdocs
while :
do
  echo $(date) Writing fortune to /var/htdocs/index.html
  /usr/games/fortune > /var/htdocs/index.html
  sleep 10
done
"#;

const FORTUNE_ENV: &str = r#"#!/bin/bash
trap "exit" SIGINT
echo Configured to generate new fortune every $INTERVAL seconds
mkdir -p /var/htdocs
while :
do
  echo $(date) Writing fortune to /var/htdocs/index.html
  /usr/games/fortune > /var/htdocs/index.html
  sleep $INTERVAL
done
"#;

const FORTUNE_ARGS: &str = r#"#!/bin/bash
trap "exit" SIGINT
INTERVAL=$1
echo Configured to generate new fortune every $INTERVAL seconds
mkdir -p /var/htdocs
while :
do
  echo $(date) Writing fortune to /var/htdocs/index.html
  /usr/games/fortune > /var/htdocs/index.html
  sleep $INTERVAL
done
"#;

const FORTUNE: Image = Image {
    repository: "docker.io/luksa/fortune",
    size_bytes: 54_600_000,
    base: Base::Debian,
    files: &[
        File::Program("/usr/games/fortune", "fortune", 22_000),
        File::Text("/bin/fortuneloop.sh", 0o755, FORTUNE_LOOP),
    ],
    entrypoint: &["/bin/fortuneloop.sh"],
    ..NONE
};

const BUSYBOX: Image = Image {
    repository: "docker.io/library/busybox",
    tags: &["latest", "1", "1.28", "1.35", "1.36", "1.36.1", "1.37", "stable", "glibc", "musl", "uclibc"],
    size_bytes: 2_156_000,
    base: Base::Busybox,
    cmd: &["sh"],
    ..NONE
};

/// All images that the registries have.
pub static IMAGES: &[Image] = &[
    Image { tags: &["latest", "v1"], files: &app("// kubia\n"), ..KUBIA },
    Image { tags: &["v2"], files: &app("// kubia v2\n"), ..KUBIA },
    Image { tags: &["v3"], files: &app("// kubia v3\n"), ..KUBIA },
    Image { tags: &["v4"], files: &app("// kubia v4\n"), ..KUBIA },
    Image { repository: "docker.io/luksa/kubia-unhealthy", files: &app("// kubia-unhealthy\n"), ..KUBIA },
    NGINX,
    Image {
        tags: &["alpine", "1.27-alpine", "1-alpine", "stable-alpine", "1.25-alpine"],
        size_bytes: 20_506_000,
        base: Base::Alpine,
        ..NGINX
    },
    BUSYBOX,
    Image {
        repository: "docker.io/library/alpine",
        tags: &["latest", "3", "3.18", "3.19", "3.20", "3.21"],
        size_bytes: 3_634_000,
        base: Base::Alpine,
        cmd: &["/bin/sh"],
        ..NONE
    },
    Image {
        repository: "docker.io/library/debian",
        tags: &["latest", "12", "bookworm", "bookworm-slim", "stable"],
        size_bytes: 48_479_000,
        base: Base::Debian,
        cmd: &["bash"],
        ..NONE
    },
    Image {
        repository: "docker.io/library/ubuntu",
        tags: &["latest", "24.04", "22.04", "20.04"],
        size_bytes: 29_728_000,
        base: Base::Debian,
        cmd: &["/bin/bash"],
        ..NONE
    },
    Image {
        repository: "docker.io/curlimages/curl",
        tags: &["latest", "8.5.0", "8.10.1", "7.88.1"],
        size_bytes: 9_850_000,
        base: Base::Alpine,
        files: &[
            File::Program("/usr/bin/curl", "curl", 243_000),
            File::Text(
                "/entrypoint.sh",
                0o755,
                "#!/bin/sh\nset -e\n[ $# -eq 0 ] || [ \"${1#-}\" = \"$1\" ] || set -- curl \"$@\"\nexec \"$@\"\n",
            ),
            File::Dir("/home/curl_user", 0o755),
            File::Owner("/home/curl_user", 100, 101),
        ],
        entrypoint: &["/entrypoint.sh"],
        cmd: &["curl"],
        workdir: "/home/curl_user",
        user: "curl_user",
        ..NONE
    },
    Image {
        repository: "docker.io/tutum/curl",
        size_bytes: 88_100_000,
        base: Base::Debian,
        files: &[File::Program("/usr/bin/curl", "curl", 182_000)],
        cmd: &["/bin/bash"],
        ..NONE
    },
    Image {
        repository: "docker.io/tutum/dnsutils",
        size_bytes: 80_100_000,
        base: Base::Debian,
        files: &[
            File::Program("/usr/bin/nslookup", "nslookup", 98_000),
            File::Program("/usr/bin/dig", "dig", 152_000),
            File::Program("/usr/bin/host", "host", 110_000),
        ],
        cmd: &["/bin/bash"],
        ..NONE
    },
    Image {
        repository: "registry.k8s.io/pause",
        tags: &["3.10", "3.9", "3.8", "latest"],
        size_bytes: 320_368,
        files: &[File::Program("/pause", "pause", 742_000)],
        entrypoint: &["/pause"],
        user: "65535:65535",
        ..NONE
    },
    FORTUNE,
    Image {
        tags: &["env"],
        files: &[
            File::Program("/usr/games/fortune", "fortune", 22_000),
            File::Text("/bin/fortuneloop.sh", 0o755, FORTUNE_ENV),
        ],
        ..FORTUNE
    },
    Image {
        tags: &["args"],
        files: &[
            File::Program("/usr/games/fortune", "fortune", 22_000),
            File::Text("/bin/fortuneloop.sh", 0o755, FORTUNE_ARGS),
        ],
        cmd: &["10"],
        ..FORTUNE
    },
];

/// A parsed image reference.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Reference {
    /// Registry and path.
    pub repository: SmolStr,
    /// Tag; `latest` if none was given, empty with a digest.
    pub tag: SmolStr,
    /// Digest, `sha256:…`.
    pub digest: Option<SmolStr>,
}

/// Why a reference is none: the text of the reference library.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InvalidReference;

impl core::fmt::Display for InvalidReference {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("invalid reference format")
    }
}

impl Reference {
    /// Reads a reference as Docker does: `nginx` is `docker.io/library/nginx:latest`.
    pub fn parse(s: &str) -> Result<Reference, InvalidReference> {
        let (rest, digest) = match s.split_once('@') {
            Some((r, d)) => (r, Some(d)),
            None => (s, None),
        };
        if let Some(d) = digest {
            let hex = d.strip_prefix("sha256:").ok_or(InvalidReference)?;
            if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(InvalidReference);
            }
        }
        let slash = rest.rfind('/').map_or(0, |i| i + 1);
        let (name, tag) = match rest.get(slash..).and_then(|l| l.find(':')) {
            Some(i) => (rest.get(..slash + i).unwrap_or_default(), rest.get(slash + i + 1..)),
            None => (rest, None),
        };
        if let Some(t) = tag {
            let ok = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
            if t.is_empty() || t.len() > 128 || !t.chars().all(ok) || t.starts_with(['.', '-']) {
                return Err(InvalidReference);
            }
        }
        let (host, path) = match name.split_once('/') {
            Some((h, p)) if h.contains(['.', ':']) || h == "localhost" => (h, p),
            _ => ("docker.io", name),
        };
        let part = |p: &str| {
            !p.is_empty()
                && p.chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-'))
                && p.starts_with(|c: char| c.is_ascii_alphanumeric())
                && p.ends_with(|c: char| c.is_ascii_alphanumeric())
        };
        if !path.split('/').all(part) {
            return Err(InvalidReference);
        }
        let path =
            if host == "docker.io" && !path.contains('/') { format!("library/{path}") } else { path.into() };
        Ok(Reference {
            repository: format!("{host}/{path}").into(),
            tag: tag.unwrap_or(if digest.is_some() { "" } else { "latest" }).into(),
            digest: digest.map(SmolStr::from),
        })
    }

    /// The canonical name, `docker.io/library/nginx:latest`.
    pub fn canonical(&self) -> String {
        match &self.digest {
            Some(d) => format!("{}@{d}", self.repository),
            None => format!("{}:{}", self.repository, self.tag),
        }
    }
}

fn hex64(seed: &str) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(seed.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

impl Image {
    /// The image's configuration digest: what a local image is known by.
    pub fn id(&self) -> String {
        format!("sha256:{}", hex64(&format!("config {} {:?}", self.repository, self.tags.first())))
    }

    /// The manifest's digest: what a registry knows it by.
    pub fn digest(&self) -> String {
        format!("sha256:{}", hex64(&format!("manifest {} {:?}", self.repository, self.tags.first())))
    }

    /// Finds what a reference names in the registries.
    pub fn find(r: &Reference) -> Option<&'static Image> {
        IMAGES.iter().find(|i| {
            i.repository == r.repository
                && match &r.digest {
                    Some(d) => *d == i.digest(),
                    None => i.tags.contains(&r.tag.as_str()),
                }
        })
    }

    /// Whether the registries have the repository at all.
    pub fn has_repository(r: &Reference) -> bool {
        IMAGES.iter().any(|i| i.repository == r.repository)
    }

    /// Its files, all layers over each other.
    pub fn tree(&self, mtime: i64) -> Tree {
        let mut t = base(self.base, mtime);
        for f in self.files {
            match *f {
                File::Dir(p, mode) => {
                    t.put_dir(p, mode);
                }
                File::Text(p, mode, text) => {
                    t.put_file(p, mode, text);
                }
                File::Link(p, to) => {
                    t.put_link(p, to);
                }
                File::Program(p, program, size) => {
                    t.put_binary(p, program, size);
                }
                File::Owner(p, uid, gid) => {
                    if let Some(i) = t.at(p).and_then(|n| t.get_mut(n)) {
                        (i.uid, i.gid) = (uid, gid);
                    }
                }
            }
        }
        for d in ["/proc", "/dev", "/sys", "/etc"] {
            if t.at(d).is_none() {
                t.put_dir(d, 0o755);
            }
        }
        if self.workdir != "/" && t.at(self.workdir).is_none() {
            t.put_dir(self.workdir, 0o755);
        }
        t
    }
}

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
bin:x:2:2:bin:/bin:/bin/false
sys:x:3:3:sys:/dev:/bin/false
sync:x:4:100:sync:/bin:/bin/sync
mail:x:8:8:mail:/var/spool/mail:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
operator:x:37:37:Operator:/var:/bin/false
curl_user:x:100:101:Linux User,,,:/home/curl_user:/sbin/nologin
nginx:x:101:101:nginx user:/nonexistent:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
";

const GROUP: &str = "root:x:0:
daemon:x:1:
bin:x:2:
sys:x:3:
adm:x:4:
tty:x:5:
disk:x:6:
mail:x:8:
wheel:x:10:root
www-data:x:33:
curl_group:x:101:
users:x:100:
nogroup:x:65534:
";

/// The applets of an image's busybox: the userland but for what it has from elsewhere.
fn applets() -> impl Iterator<Item = &'static str> {
    const FOREIGN: [&str; 15] = [
        "bash",
        "curl",
        "ss",
        "iptables",
        "iptables-save",
        "iptables-restore",
        "ipset",
        "conntrack",
        "bridge",
        "ethtool",
        "dig",
        "host",
        "busybox",
        "kubectl",
        "jq",
    ];
    shell::commands::applets().into_iter().filter(|a| !FOREIGN.contains(a))
}

fn accounts(t: &mut Tree) {
    t.put_file("/etc/passwd", 0o644, PASSWD);
    t.put_file("/etc/group", 0o644, GROUP);
    t.put_file("/etc/hosts", 0o644, "127.0.0.1\tlocalhost\n");
    t.put_file("/etc/resolv.conf", 0o644, "");
    t.put_file("/etc/hostname", 0o644, "");
    t.put_dir("/root", 0o700);
    t.put_dir("/home", 0o755);
    t.put_dir("/tmp", 0o1777);
    t.put_dir("/var", 0o755);
}

/// The files of a base.
fn base(b: Base, mtime: i64) -> Tree {
    let mut t = Tree::new(mtime);
    match b {
        Base::Scratch => {}
        Base::Busybox => {
            accounts(&mut t);
            t.put_binary("/bin/busybox", "busybox", 1_028_000);
            // The image has hard links to one file.
            if let (Some(dir), Some(file)) = (t.at("/bin"), t.at("/bin/busybox")) {
                for a in applets() {
                    t.link(dir, a, file, mtime);
                }
            }
            t.put_dir("/usr/sbin", 0o755);
            t.put_link("/usr/bin/env", "../../bin/env");
        }
        Base::Alpine => {
            accounts(&mut t);
            t.put_file("/etc/alpine-release", 0o644, "3.21.0\n");
            t.put_file(
                "/etc/os-release",
                0o644,
                "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.21.0\nPRETTY_NAME=\"Alpine Linux v3.21\"\nHOME_URL=\"https://alpinelinux.org/\"\n",
            );
            t.put_binary("/bin/busybox", "busybox", 804_000);
            for a in applets() {
                t.put_link(&format!("/bin/{a}"), "/bin/busybox");
            }
            for d in [
                "/usr/bin",
                "/usr/sbin",
                "/usr/local/bin",
                "/sbin",
                "/var/log",
                "/opt",
                "/srv",
                "/mnt",
                "/media",
                "/run",
            ] {
                t.put_dir(d, 0o755);
            }
        }
        Base::Debian => {
            accounts(&mut t);
            debian(&mut t);
        }
    }
    t
}

/// The layout of a Debian system: merged `/usr`, bash, and the userland's tools as programs of their own.
fn debian(t: &mut Tree) {
    for d in [
        "/usr/bin",
        "/usr/sbin",
        "/usr/local/bin",
        "/usr/local/sbin",
        "/usr/share",
        "/usr/lib",
        "/usr/games",
        "/var/log",
        "/var/lib",
        "/var/cache",
        "/opt",
        "/srv",
        "/mnt",
        "/media",
        "/run",
        "/boot",
    ] {
        t.put_dir(d, 0o755);
    }
    t.put_link("/bin", "usr/bin");
    t.put_link("/sbin", "usr/sbin");
    t.put_link("/lib", "usr/lib");
    t.put_file("/etc/debian_version", 0o644, "12.8\n");
    t.put_file(
        "/etc/os-release",
        0o644,
        "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nVERSION=\"12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\nHOME_URL=\"https://www.debian.org/\"\n",
    );
    t.put_binary("/usr/bin/bash", "bash", 1_265_648);
    t.put_binary("/usr/bin/dash", "sh", 125_640);
    t.put_link("/usr/bin/sh", "dash");
    const ABSENT: [&str; 12] = [
        "sh",
        "ash",
        "bash",
        "telnet",
        "nc",
        "traceroute",
        "wget",
        "nslookup",
        "dig",
        "host",
        "ifconfig",
        "xxd",
    ];
    for a in applets().filter(|a| !ABSENT.contains(a)) {
        let dir =
            if matches!(a, "ip" | "route" | "arp" | "brctl" | "sysctl") { "/usr/sbin" } else { "/usr/bin" };
        t.put_binary(&format!("{dir}/{a}"), a, 48_000);
    }
    // The book's images bring curl along.
    t.put_binary("/usr/bin/curl", "curl", 182_000);
}

/// A node's own root: Debian with all tools.
pub fn host_root(name: &str, programs: &[Entry], mtime: i64) -> Tree {
    let mut t = base(Base::Debian, mtime);
    for a in shell::commands::applets() {
        let admin = matches!(
            a,
            "iptables"
                | "iptables-save"
                | "iptables-restore"
                | "ip"
                | "ss"
                | "ipset"
                | "conntrack"
                | "bridge"
                | "sysctl"
                | "route"
                | "arp"
                | "brctl"
                | "ifconfig"
                | "ethtool"
        );
        let path = format!("/usr/{}/{a}", if admin { "sbin" } else { "bin" });
        if !matches!(a, "sh" | "ash" | "bash" | "[") && t.at(&path).is_none() {
            t.put_binary(&path, a, 96_000);
        }
    }
    for n in programs.iter().flat_map(|e| e.names.iter()) {
        if !n.contains('/') {
            t.put_binary(&format!("/usr/local/bin/{n}"), n, 58_000_000);
        }
    }
    t.put_file("/etc/hostname", 0o644, format!("{name}\n"));
    t.put_file("/etc/hosts", 0o644, format!("127.0.0.1\tlocalhost\n127.0.1.1\t{name}\n"));
    t.put_file("/etc/passwd", 0o644, PASSWD.replacen("/bin/sh", "/bin/bash", 1));
    for d in [
        "/proc",
        "/dev",
        "/sys",
        "/var/lib/kubelet",
        "/var/lib/containerd",
        "/var/log/pods",
        "/var/log/containers",
        "/etc/kubernetes/manifests",
        "/etc/cni/net.d",
        "/opt/cni/bin",
        "/run/containerd",
        "/run/flannel",
    ] {
        t.put_dir(d, 0o755);
    }
    if let Some(dir) = t.at("/root") {
        t.add(dir, ".bashrc", Inode::file(b"# root's settings\n".to_vec(), 0o644, mtime));
    }
    t
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn references() {
        let ok = |s: &str| Reference::parse(s).map(|r| r.canonical());
        assert_eq!(ok("nginx").as_deref(), Ok("docker.io/library/nginx:latest"));
        assert_eq!(ok("luksa/kubia:v1").as_deref(), Ok("docker.io/luksa/kubia:v1"));
        assert_eq!(ok("registry.k8s.io/pause:3.10").as_deref(), Ok("registry.k8s.io/pause:3.10"));
        assert_eq!(ok("localhost:5000/a/b").as_deref(), Ok("localhost:5000/a/b:latest"));
        for bad in ["", "Nginx", "a b", "nginx:", "nginx:-x", "x@sha256:12", "/x", "a//b", ":x"] {
            assert_eq!(ok(bad), Err(InvalidReference), "{bad}");
        }
    }

    #[test]
    fn images_are_whole() {
        let mut seen = BTreeSet::new();
        for i in IMAGES {
            for t in i.tags {
                assert!(seen.insert((i.repository, *t)), "{}:{t} is there twice", i.repository);
            }
            let t = i.tree(0);
            assert!(t.at("/proc").is_some());
            assert!(i.size_bytes > 0);
            for f in i.files {
                if let File::Program(path, program, _) = f {
                    assert!(
                        shell::program::find(&[shell::commands::TABLE, crate::programs::TABLE], program)
                            .is_some(),
                        "{path} needs the program {program}"
                    );
                }
            }
        }
    }
}
