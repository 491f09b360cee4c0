//! Two nodes with their runtimes and network: pods that talk, end, are executed in, and go.

use expect_test::{Expect, expect};
use net::{Cidr, Net, NsId, Route};
use node::images::Reference;
use node::kernel::{Config, Machine};
use node::runtime::{
    Cni, ContainerConfig, ContainerId, ContainerState, Event, ExecId, ExecOptions, Runtime, SandboxConfig,
    SandboxId,
};
use sim::{Duration, Epoch, Instant, Seed};

#[derive(Clone)]
struct Node {
    machine: Machine,
    runtime: Runtime,
}

#[derive(Clone)]
struct World {
    net: Net,
    nodes: Vec<Node>,
    now: Instant,
    events: Vec<(usize, Event)>,
}

fn cidr(s: &str) -> Cidr {
    let (a, l) = s.split_once('/').unwrap();
    Cidr::new(a.parse().unwrap(), l.parse().unwrap())
}

impl World {
    fn new() -> World {
        let mut net = Net::new(Seed(1).stream("net"));
        let lan = net.add_segment("lan", Duration::from_micros(200));
        let mut nodes = Vec::new();
        let names: Vec<NsId> = (1..=2)
            .map(|i| {
                let ns = net.add_namespace(&format!("worker-{i}")).unwrap();
                net.set_up(ns, Net::LO, true).unwrap();
                let eth = net.add_eth(ns, "eth0", lan).unwrap();
                net.add_addr_brd(ns, eth, cidr(&format!("192.168.0.1{i}/24"))).unwrap();
                net.set_up(ns, eth, true).unwrap();
                net.sysctl_set(ns, "net.ipv4.ip_forward", "1").unwrap();
                ns
            })
            .collect();
        for (i, ns) in names.iter().enumerate() {
            let other = 2 - i;
            let eth = net.device(*ns, "eth0").unwrap();
            let via = format!("192.168.0.1{other}").parse().unwrap();
            net.add_route(*ns, Route::via(cidr(&format!("10.244.{other}.0/24")), via, eth)).unwrap();
            let config = Config {
                name: format!("worker-{}", i + 1).into(),
                ns: *ns,
                programs: &[],
                memory_bytes: 4 << 30,
                cpus: 2,
                disk_bytes: 20 << 30,
                epoch: Epoch::DEFAULT,
                now: Instant::ZERO,
            };
            let seed = Seed(7);
            let mut machine = Machine::new(&config, seed.stream(&format!("machine-{i}")));
            let cni = Cni::new(Some(cidr(&format!("10.244.{}.0/24", i + 1))));
            let mut runtime = Runtime::new(cni, seed.stream(&format!("runtime-{i}")));
            for image in ["luksa/kubia:v1", "busybox:1.36", "nginx", "curlimages/curl"] {
                assert!(runtime.import(image, &machine), "{image}");
            }
            machine.write_file("/srv.txt", 0o644, b"from the node\n").unwrap();
            nodes.push(Node { machine, runtime });
        }
        World { net, nodes, now: Instant::ZERO, events: Vec::new() }
    }

    fn settle(&mut self) {
        for _ in 0..10_000 {
            self.net.advance(self.now);
            let mut busy = false;
            for (ns, id) in self.net.take_ready() {
                busy |= self.nodes.iter_mut().any(|n| n.machine.socket_ready(ns, id));
            }
            for (i, n) in self.nodes.iter_mut().enumerate() {
                busy |= n.machine.run(self.now, &mut self.net);
                n.runtime.run(self.now, &mut n.machine, &mut self.net);
                while let Some(e) = n.runtime.take_event() {
                    self.events.push((i, e));
                }
                busy |= n.machine.next_at().is_some_and(|at| at <= self.now);
            }
            if !busy && self.net.next_at().is_none_or(|at| at > self.now) {
                return;
            }
        }
        panic!("the world does not come to rest at {}", self.now);
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            self.settle();
            let nodes = self.nodes.iter().flat_map(|n| [n.machine.next_at(), n.runtime.next_at()]);
            match nodes.chain([self.net.next_at()]).flatten().min() {
                Some(at) if at <= until => self.now = at.max(self.now),
                _ => break,
            }
        }
        self.now = until;
        self.settle();
    }

    fn sandbox(&mut self, node: usize, name: &str) -> SandboxId {
        let config = SandboxConfig {
            name: name.into(),
            namespace: "default".into(),
            hostname: name.into(),
            resolv_conf: "nameserver 10.96.0.10\nsearch default.svc.cluster.local\noptions ndots:5\n".into(),
            ..SandboxConfig::default()
        };
        let id = self.nodes[node].runtime.run_sandbox(config, self.now);
        self.pass(Duration::from_secs(1));
        id
    }

    fn container(&mut self, node: usize, sandbox: &SandboxId, config: ContainerConfig) -> ContainerId {
        let n = &mut self.nodes[node];
        let id = n.runtime.create_container(sandbox, config, &mut n.machine).unwrap();
        n.runtime.start_container(&id, self.now);
        self.pass(Duration::from_secs(1));
        id
    }

    fn pod(&mut self, node: usize, name: &str, image: &str, command: &[&str]) -> (SandboxId, ContainerId) {
        let s = self.sandbox(node, name);
        let c = ContainerConfig {
            name: "main".into(),
            image: image.into(),
            command: command.iter().map(ToString::to_string).collect(),
            ..ContainerConfig::default()
        };
        let c = self.container(node, &s, c);
        (s, c)
    }

    fn ip(&self, node: usize, s: &SandboxId) -> String {
        self.nodes[node].runtime.sandbox(s).unwrap().ip.unwrap().to_string()
    }

    fn start_exec(
        &mut self,
        node: usize,
        c: &ContainerId,
        argv: &[&str],
        o: ExecOptions,
    ) -> Result<ExecId, String> {
        let argv: Vec<String> = argv.iter().map(ToString::to_string).collect();
        let n = &mut self.nodes[node];
        n.runtime.exec(c, &argv, o, &mut n.machine, &mut self.net)
    }

    fn output(&mut self, node: usize, e: &ExecId) -> (String, Option<i32>) {
        let n = &mut self.nodes[node];
        let o = n.runtime.exec_output(e, &mut n.machine).unwrap();
        let text = String::from_utf8_lossy(&[o.stdout, o.stderr].concat()).replace('\r', "");
        (text, o.code)
    }

    fn exec(&mut self, node: usize, c: &ContainerId, argv: &[&str]) -> String {
        match self.start_exec(node, c, argv, ExecOptions::default()) {
            Err(m) => format!("{m}\n"),
            Ok(e) => {
                self.pass(Duration::from_secs(3));
                let (mut text, code) = self.output(node, &e);
                if code != Some(0) {
                    text.push_str(&format!("[{code:?}]\n"));
                }
                text
            }
        }
    }

    fn sh(&mut self, node: usize, c: &ContainerId, script: &str) -> String {
        self.exec(node, c, &["sh", "-c", script])
    }

    fn log(&self, node: usize, c: &ContainerId) -> String {
        let c = self.nodes[node].runtime.container(c).unwrap();
        c.log.lines().map(|l| String::from_utf8_lossy(&l.data).into_owned()).collect()
    }

    fn state(&self, node: usize, c: &ContainerId) -> String {
        match &self.nodes[node].runtime.container(c).unwrap().state {
            ContainerState::Created => "created".into(),
            ContainerState::Running { .. } => "running".into(),
            ContainerState::Exited(e) => format!("{} {} {}", e.reason, e.code, e.message),
        }
    }
}

fn check(got: &str, want: Expect) {
    want.assert_eq(got);
}

#[test]
fn pods_talk_across_nodes() {
    let mut w = World::new();
    let (s1, kubia) = w.pod(0, "kubia-1", "luksa/kubia:v1", &[]);
    let (s2, client) = w.pod(1, "client", "curlimages/curl", &["sleep", "1000"]);
    assert_eq!((w.ip(0, &s1).as_str(), w.ip(1, &s2).as_str()), ("10.244.1.2", "10.244.2.2"));
    let ip = w.ip(0, &s1);
    let mut all = w.exec(1, &client, &["curl", "-s", &format!("http://{ip}:8080")]);
    all += &w.exec(1, &client, &["curl", "-sS", &format!("http://{ip}:81")]);
    all += &w.exec(1, &client, &["curl", "-si", &format!("{ip}:8080")]);
    all += &w.exec(1, &client, &["ping", "-c", "1", &ip]).lines().take(1).collect::<String>();
    all += "\n";
    all += &w.log(0, &kubia);
    check(
        &all,
        expect![[r#"
        You've hit kubia-1
        curl: (7) Failed to connect to 10.244.1.2 port 81 after 0 ms: Couldn't connect to server
        [Some(7)]
        HTTP/1.1 200 OK
        Date: Mon, 05 Jan 2026 09:00:10 GMT
        Connection: keep-alive
        Transfer-Encoding: chunked

        You've hit kubia-1
        PING 10.244.1.2 (10.244.1.2): 56 data bytes
        Kubia server starting...
        Received request from ::ffff:10.244.2.2
        Received request from ::ffff:10.244.2.2
    "#]],
    );
}

#[test]
fn what_a_container_sees() {
    let mut w = World::new();
    let (_, c) = w.pod(0, "box", "busybox:1.36", &["sleep", "1000"]);
    let text = w.sh(
        0,
        &c,
        "id; hostname; ps; ip addr; ip route; cat /etc/resolv.conf /etc/hostname; mount | cut -c1-60; env; cat /sys/fs/cgroup/memory.max; ls /; \
         echo x >/tmp/f; df -h / | tail -1; cat /proc/1/comm; ls -l /proc/self/fd | wc -l; ss -tln; kill 1; kill -9 1; ps | head -2",
    );
    check(
        &text,
        expect![[r#"
            uid=0(root) gid=0(root) groups=0(root),10(wheel)
            box
            PID   USER     TIME  COMMAND
                1 root      0:00 sleep 1000
                2 root      0:00 sh -c id; hostname; ps; ip addr; ip route; cat /etc/resolv.conf /etc/hostname; mount | cut -c1-60; env; cat /sys/fs/cgroup/memory.max; ls /; echo x >/tmp/f; df -h / | tail -1; cat /proc/1/comm; ls -l /proc/self/fd | wc -l; ss -tln; kill 1; kill -9 1; ps | head -2
                5 root      0:00 ps
            1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000
                link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00
                inet 127.0.0.1/8 scope host lo
                   valid_lft forever preferred_lft forever
            2: eth0@if4: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default qlen 1000
                link/ether 1e:32:bc:3f:f7:44 brd ff:ff:ff:ff:ff:ff link-netns worker-1
                inet 10.244.1.2/24 brd 10.244.1.255 scope global eth0
                   valid_lft forever preferred_lft forever
            default via 10.244.1.1 dev eth0 
            10.244.1.0/24 dev eth0 proto kernel scope link src 10.244.1.2 
            nameserver 10.96.0.10
            search default.svc.cluster.local
            options ndots:5
            box
            overlay on / type overlay (rw,relatime)
            proc on /proc type proc (rw,nosuid,nodev,noexec,relatime)
            tmpfs on /dev type tmpfs (rw,nosuid,size=65536k,mode=755)
            /dev/vda1 on /etc/resolv.conf type ext4 (rw,relatime)
            /dev/vda1 on /etc/hostname type ext4 (rw,relatime)
            PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
            HOSTNAME=box
            HOME=/root
            PWD=/
            max
            bin
            dev
            etc
            home
            proc
            root
            sys
            tmp
            usr
            var
            overlay                  20.0G      7.8M     20.0G   1% /
            sleep
            4
            PID   USER     TIME  COMMAND
                1 root      0:00 sleep 1000
            sh: ss: not found
        "#]],
    );
}

#[test]
fn ends() {
    let mut w = World::new();
    let mut all = String::new();
    for (name, script) in [
        ("e0", "exit 0"),
        ("e42", "echo out; echo err >&2; exit 42"),
        ("e137", "sh -c 'kill -9 $$'"),
        ("trap", "trap 'echo bye; exit 7' TERM; while :; do sleep 1; done"),
        ("ignore", "sleep 1000"),
    ] {
        let (_, c) = w.pod(0, name, "busybox:1.36", &["sh", "-c", script]);
        let n = &mut w.nodes[0];
        n.runtime.stop_container(&c, Duration::from_secs(5), &mut n.machine, &mut w.net);
        let begin = w.now;
        w.pass(Duration::from_secs(6));
        let end = match &w.nodes[0].runtime.container(&c).unwrap().state {
            ContainerState::Exited(e) => e.finished.since(begin).as_secs(),
            _ => 99,
        };
        all += &format!("{name}: {} after {end} s; {:?}\n", w.state(0, &c), w.log(0, &c));
    }
    for command in [&["nosuch"][..], &["/etc/passwd"], &["/no/such"]] {
        let (_, c) = w.pod(0, "bad", "busybox:1.36", command);
        all += &format!("{}\n", w.state(0, &c));
    }
    let (_, c) = w.pod(0, "ok", "busybox:1.36", &["sleep", "100"]);
    all += &w.exec(0, &c, &["nosuch"]).replace(|c: char| c.is_ascii_hexdigit() && !c.is_alphabetic(), "N");
    all += &w.exec(0, &c, &["sh", "-c", "exit 3"]);
    check(
        &all,
        expect![[r#"
        e0: Completed 0  after 0 s; ""
        e42: Error 42  after 0 s; "out\nerr\n"
        e137: Error 137  after 0 s; "Killed\n"
        trap: Error 7  after 0 s; "bye\n"
        ignore: Error 137  after 5 s; ""
        StartError 128 failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "nosuch": executable file not found in $PATH: unknown
        StartError 128 failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "/etc/passwd": permission denied: unknown
        StartError 128 failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "/no/such": stat /no/such: no such file or directory: unknown
        error executing command in container: failed to exec in container: failed to start exec "fcNNNNNcNffNNddaNaNNcNfNdbacNNcNeNdNfNcNNeNNNNbNbNNNNNNaNeNNNbNN": OCI runtime exec failed: exec failed: unable to start container process: exec: "nosuch": executable file not found in $PATH: unknown
        [Some(3)]
    "#]],
    );
}

#[test]
fn memory_limit() {
    let mut w = World::new();
    let s = w.sandbox(0, "oom");
    let c = ContainerConfig {
        name: "main".into(),
        image: "busybox:1.36".into(),
        command: vec!["tail".into(), "/dev/zero".into()],
        memory_bytes_max: 32 << 20,
        ..ContainerConfig::default()
    };
    let c = w.container(0, &s, c);
    w.pass(Duration::from_secs(5));
    assert_eq!(w.state(0, &c), "OOMKilled 137 ");
}

#[test]
fn nginx_serves_and_stops() {
    let mut w = World::new();
    let (s, c) = w.pod(0, "web", "nginx", &[]);
    let (_, client) = w.pod(1, "client", "busybox:1.36", &["sleep", "1000"]);
    let ip = w.ip(0, &s);
    let mut all = w
        .exec(1, &client, &["wget", "-qO-", &ip])
        .lines()
        .take(4)
        .map(|l| format!("{l}\n"))
        .collect::<String>();
    all += &w.exec(1, &client, &["wget", "-qO-", &format!("{ip}/nope")]);
    all += &w.exec(0, &c, &["curl", "-sI", "localhost"]);
    all += &w.sh(0, &c, "echo changed >/usr/share/nginx/html/index.html; curl -s localhost; nginx -t; echo 'bad;' >/etc/nginx/conf.d/x.conf; nginx -t; rm /etc/nginx/conf.d/x.conf; nginx -s reload; ps | wc -l");
    let n = &mut w.nodes[0];
    n.runtime.stop_container(&c, Duration::from_secs(30), &mut n.machine, &mut w.net);
    w.pass(Duration::from_secs(2));
    all += &w.state(0, &c);
    all += "\n";
    all += &w.log(0, &c);
    check(
        &all,
        expect![[r#"
        <!DOCTYPE html>
        <html>
        <head>
        <title>Welcome to nginx!</title>
        wget: server returned error: HTTP/1.1 404 Not Found
        [Some(1)]
        HTTP/1.1 200 OK
        Server: nginx/1.27.3
        Date: Mon, 05 Jan 2026 09:00:10 GMT
        Content-Type: text/html
        Content-Length: 615
        Last-Modified: Mon, 05 Jan 2026 09:00:00 GMT
        Connection: keep-alive
        ETag: "695b7d90-267"
        Accept-Ranges: bytes

        changed
        7
        nginx: the configuration file /etc/nginx/nginx.conf syntax is ok
        nginx: configuration file /etc/nginx/nginx.conf test is successful
        2026/01/05 09:00:13 [emerg] 12#12: unknown directive "bad" in /etc/nginx/conf.d/x.conf:1
        nginx: [emerg] unknown directive "bad" in /etc/nginx/conf.d/x.conf:1
        nginx: configuration file /etc/nginx/nginx.conf test failed
        Completed 0 
        /docker-entrypoint.sh: /docker-entrypoint.d/ is not empty, will attempt to perform configuration
        /docker-entrypoint.sh: Looking for shell scripts in /docker-entrypoint.d/
        /docker-entrypoint.sh: Launching /docker-entrypoint.d/10-listen-on-ipv6-by-default.sh
        10-listen-on-ipv6-by-default.sh: info: Getting the checksum of /etc/nginx/conf.d/default.conf
        10-listen-on-ipv6-by-default.sh: info: Enabled listen on IPv6 in /etc/nginx/conf.d/default.conf
        /docker-entrypoint.sh: Sourcing /docker-entrypoint.d/15-local-resolvers.envsh
        /docker-entrypoint.sh: Launching /docker-entrypoint.d/20-envsubst-on-templates.sh
        /docker-entrypoint.sh: Launching /docker-entrypoint.d/30-tune-worker-processes.sh
        /docker-entrypoint.sh: Configuration complete; ready for start up
        2026/01/05 09:00:01 [notice] 1#1: using the "epoll" event method
        2026/01/05 09:00:01 [notice] 1#1: nginx/1.27.3
        2026/01/05 09:00:01 [notice] 1#1: built by gcc 12.2.0 (Debian 12.2.0-14)
        2026/01/05 09:00:01 [notice] 1#1: OS: Linux 6.12.0-kubarium
        2026/01/05 09:00:01 [notice] 1#1: getrlimit(RLIMIT_NOFILE): 1048576:1048576
        2026/01/05 09:00:01 [notice] 1#1: start worker processes
        2026/01/05 09:00:01 [notice] 1#1: start worker process 6
        2026/01/05 09:00:01 [notice] 1#1: start worker process 7
        10.244.2.2 - - [05/Jan/2026:09:00:04 +0000] "GET / HTTP/1.1" 200 615 "-" "Wget" "-"
        10.244.2.2 - - [05/Jan/2026:09:00:07 +0000] "GET /nope HTTP/1.1" 404 153 "-" "Wget" "-"
        2026/01/05 09:00:07 [error] 6#6: *2 open() "/usr/share/nginx/html/nope" failed (2: No such file or directory), client: 10.244.2.2, server: localhost, request: "GET /nope HTTP/1.1", host: "10.244.1.2"
        127.0.0.1 - - [05/Jan/2026:09:00:10 +0000] "HEAD / HTTP/1.1" 200 0 "-" "curl/8.5.0" "-"
        127.0.0.1 - - [05/Jan/2026:09:00:13 +0000] "GET / HTTP/1.1" 200 8 "-" "curl/8.5.0" "-"
        2026/01/05 09:00:13 [notice] 1#1: signal 1 (SIGHUP) received, reconfiguring
        2026/01/05 09:00:13 [notice] 1#1: reconfiguring
        2026/01/05 09:00:13 [notice] 1#1: start worker processes
        2026/01/05 09:00:13 [notice] 1#1: start worker process 15
        2026/01/05 09:00:13 [notice] 1#1: start worker process 16
        2026/01/05 09:00:13 [notice] 6#6: gracefully shutting down
        2026/01/05 09:00:13 [notice] 6#6: exiting
        2026/01/05 09:00:13 [notice] 6#6: exit
        2026/01/05 09:00:13 [notice] 7#7: gracefully shutting down
        2026/01/05 09:00:13 [notice] 7#7: exiting
        2026/01/05 09:00:13 [notice] 7#7: exit
        2026/01/05 09:00:13 [notice] 1#1: signal 17 (SIGCHLD) received from 6
        2026/01/05 09:00:13 [notice] 1#1: worker process 6 exited with code 0
        2026/01/05 09:00:13 [notice] 1#1: signal 17 (SIGCHLD) received from 7
        2026/01/05 09:00:13 [notice] 1#1: worker process 7 exited with code 0
        2026/01/05 09:00:16 [notice] 1#1: signal 3 (SIGQUIT) received, shutting down
        2026/01/05 09:00:16 [notice] 15#15: gracefully shutting down
        2026/01/05 09:00:16 [notice] 15#15: exiting
        2026/01/05 09:00:16 [notice] 15#15: exit
        2026/01/05 09:00:16 [notice] 16#16: gracefully shutting down
        2026/01/05 09:00:16 [notice] 16#16: exiting
        2026/01/05 09:00:16 [notice] 16#16: exit
        2026/01/05 09:00:16 [notice] 1#1: signal 17 (SIGCHLD) received from 15
        2026/01/05 09:00:16 [notice] 1#1: worker process 15 exited with code 0
        2026/01/05 09:00:16 [notice] 1#1: signal 17 (SIGCHLD) received from 16
        2026/01/05 09:00:16 [notice] 1#1: worker process 16 exited with code 0
        2026/01/05 09:00:16 [notice] 1#1: exit
    "#]],
    );
}

#[test]
fn terminals_and_input() {
    let mut w = World::new();
    let (_, c) = w.pod(0, "box", "busybox:1.36", &["sleep", "1000"]);
    let e = w.start_exec(0, &c, &["sh"], ExecOptions { tty: Some((80, 24)), stdin: true }).unwrap();
    w.pass(Duration::from_secs(1));
    for keys in ["echo hi; tty\r", "exit 3\r"] {
        let n = &mut w.nodes[0];
        n.runtime.exec_input(&e, keys.as_bytes(), &mut n.machine);
        w.pass(Duration::from_secs(1));
    }
    let (text, code) = w.output(0, &e);
    assert_eq!(code, Some(3));
    check(
        &text,
        expect![[r#"
        / # echo hi; tty
        hi
        /dev/pts/0
        / # exit 3
    "#]],
    );
    let e = w.start_exec(0, &c, &["cat"], ExecOptions { tty: None, stdin: true }).unwrap();
    let n = &mut w.nodes[0];
    n.runtime.exec_input(&e, &[b'x'; 200_000], &mut n.machine);
    n.runtime.exec_input_end(&e, &mut n.machine);
    let mut got = 0;
    for _ in 0..20 {
        w.pass(Duration::from_millis(100));
        let (text, code) = w.output(0, &e);
        got += text.len();
        if code.is_some() {
            break;
        }
    }
    assert_eq!(got, 200_000);
}

#[test]
fn pulls_take_time_and_fail_with_the_runtimes_words() {
    let mut w = World::new();
    let mut all = String::new();
    for r in ["luksa/kubia:v2", "nosuch:1", "busybox:9.99", "registry.example.com/a/b:1"] {
        let r = Reference::parse(r).unwrap();
        w.nodes[0].runtime.pull(&r, w.now);
    }
    w.pass(Duration::from_secs(60));
    for (_, e) in &w.events {
        if let Event::Pulled(n, r) = e {
            match r {
                Ok(p) => all += &format!("{n}: {} bytes in {:?}\n", p.size_bytes, p.time.as_secs()),
                Err(e) => all += &format!("{n}: {}\n", e.text),
            }
        }
    }
    check(
        &all,
        expect![[r#"
        4: failed to pull and unpack image "registry.example.com/a/b:1": failed to resolve reference "registry.example.com/a/b:1": failed to do request: Head "https://registry.example.com/v2/a/b/manifests/1": dial tcp: lookup registry.example.com: no such host
        2: failed to pull and unpack image "docker.io/library/nosuch:1": failed to resolve reference "docker.io/library/nosuch:1": pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed
        3: rpc error: code = NotFound desc = failed to pull and unpack image "docker.io/library/busybox:9.99": failed to resolve reference "docker.io/library/busybox:9.99": docker.io/library/busybox:9.99: not found
        1: 263817000 bytes in 5
    "#]],
    );
}

#[test]
fn stopping_a_sandbox_frees_its_network() {
    let mut w = World::new();
    let (s, c) = w.pod(0, "a", "busybox:1.36", &["sleep", "1000"]);
    let before = w.net.namespaces().count();
    let n = &mut w.nodes[0];
    n.runtime.remove_sandbox(&s, &mut n.machine, &mut w.net);
    w.pass(Duration::from_secs(1));
    assert_eq!(w.net.namespaces().count(), before - 1);
    assert!(w.nodes[0].runtime.container(&c).is_none());
    assert_eq!(w.nodes[0].runtime.cni.addresses().count(), 0);
    assert_eq!(w.nodes[0].machine.kernel.processes().count(), 0);
    let (s, _) = w.pod(0, "b", "busybox:1.36", &["sleep", "1000"]);
    assert_eq!(w.ip(0, &s), "10.244.1.3");
}

#[test]
fn a_copied_world_runs_alike() {
    let mut w = World::new();
    let (s1, _) = w.pod(0, "kubia-1", "luksa/kubia:v1", &[]);
    let (_, client) = w.pod(1, "client", "curlimages/curl", &["sleep", "1000"]);
    let url = format!("http://{}:8080", w.ip(0, &s1));
    let mut other = w.clone();
    let (a, b) = (w.exec(1, &client, &["curl", "-s", &url]), other.exec(1, &client, &["curl", "-s", &url]));
    assert_eq!(a, b);
    assert_eq!(w.now, other.now);
    let digest = |w: &World| {
        let mut h = sim::Hasher::default();
        for n in &w.nodes {
            n.machine.digest(&mut h);
            n.runtime.digest(&mut h);
        }
        h.digest()
    };
    assert_eq!(digest(&w), digest(&other));
    other.exec(1, &client, &["true"]);
    assert_ne!(digest(&w), digest(&other));
}

#[test]
#[ignore = "a measurement"]
fn many_pods() {
    let mut w = World::new();
    #[allow(clippy::disallowed_methods, clippy::disallowed_types)]
    let t = std::time::Instant::now();
    let mut all = Vec::new();
    for i in 0..200 {
        let config = SandboxConfig {
            name: format!("p{i}").into(),
            hostname: format!("p{i}").into(),
            ..SandboxConfig::default()
        };
        all.push((i % 2, w.nodes[i % 2].runtime.run_sandbox(config, w.now)));
    }
    w.pass(Duration::from_secs(1));
    eprintln!("sandboxes {:?}", t.elapsed());
    for (n, s) in &all {
        let c = ContainerConfig { image: "luksa/kubia:v1".into(), ..ContainerConfig::default() };
        let n = &mut w.nodes[*n];
        let id = n.runtime.create_container(s, c, &mut n.machine).unwrap();
        n.runtime.start_container(&id, w.now);
    }
    w.pass(Duration::from_secs(1));
    eprintln!("containers {:?}", t.elapsed());
    w.pass(Duration::from_secs(3600));
    eprintln!("an hour {:?}", t.elapsed());
    let copies: Vec<World> = (0..100).map(|_| w.clone()).collect();
    eprintln!("copies {:?} {}", t.elapsed(), copies.len());
}
