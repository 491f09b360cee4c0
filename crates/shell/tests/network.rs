//! The programs that use sockets, over the loopback of the test host.

use expect_test::{Expect, expect};
use shell::testing::Host;

fn check(script: &str, want: Expect) {
    let mut h = Host::new(&[shell::commands::TABLE]);
    want.assert_eq(&h.sh(script).to_string().replace('\r', "␍"));
}

const SERVE: &str = r#"serve() { printf 'HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello\n' "$2" >r$1; nc -l -p $1 -e cat r$1 & sleep 0.1; }; "#;

#[test]
fn curl_and_wget() {
    check(
        &format!(
            "{SERVE} serve 80 '200 OK'; curl -s http://localhost; serve 81 '404 Not Found'; curl -sf localhost:81; echo $?; \
             serve 82 '200 OK'; curl -s -o /dev/null -w '%{{http_code}} %{{size_download}}\\n' 127.0.0.1:82; \
             serve 83 '200 OK'; curl -i -s 127.0.0.1:83; serve 84 '200 OK'; wget -qO- 127.0.0.1:84; \
             serve 85 '500 Internal Server Error'; wget -O- 127.0.0.1:85; echo $?"
        ),
        expect![[r#"
            hello
            22
            200 6
            HTTP/1.1 200 OK␍
            Content-Type: text/plain␍
            Content-Length: 6␍
            ␍
            hello
            hello
            1
            ! Connecting to 127.0.0.1:85 (127.0.0.1:85)
            ! wget: server returned error: HTTP/1.1 500 Internal Server Error
        "#]],
    );
}

#[test]
fn errors() {
    check(
        "curl http://localhost:9; echo $?; curl -s http://localhost:9; echo $?; curl -sS http://10.1.2.3/; curl -sS http://nosuch.name; \
         curl; curl foo://x; curl --bad; curl http://; wget http://localhost:9/x; wget -q http://nosuch; nc localhost 9; nc -z localhost 9; echo $?; \
         ping -c 1 nosuch; nslookup nosuch; telnet localhost 9; traceroute nosuch",
        expect![[r#"
            7
            7
            1
            Server:		10.96.0.10
            Address:	10.96.0.10:53

            ;; connection timed out; no servers could be reached

            !   % Total    % Received % Xferd  Average Speed   Time    Time     Time  Current
            !                                  Dload  Upload   Total   Spent    Left  Speed
            ! ␍  0     0    0     0    0     0      0      0 --:--:-- --:--:-- --:--:--     0␍  0     0    0     0    0     0      0      0 --:--:-- --:--:-- --:--:--     0
            ! curl: (7) Failed to connect to localhost port 9 after 0 ms: Couldn't connect to server
            ! curl: (7) Failed to connect to 10.1.2.3 port 80 after 0 ms: Couldn't connect to server
            ! curl: (6) Could not resolve host: nosuch.name
            ! curl: try 'curl --help' or 'curl --manual' for more information
            ! curl: (1) Protocol "foo" not supported or disabled in libcurl
            ! curl: option --bad: is unknown
            ! curl: try 'curl --help' or 'curl --manual' for more information
            ! curl: (3) URL using bad/illegal format or missing URL
            ! Connecting to localhost:9 (127.0.0.1:9)
            ! wget: can't connect to remote host (127.0.0.1): Connection refused
            ! wget: bad address 'nosuch'
            ! nc: can't connect to remote host (127.0.0.1): Connection refused
            ! nc: can't connect to remote host (127.0.0.1): Connection refused
            ! ping: bad address 'nosuch'
            ! telnet: can't connect to remote host (127.0.0.1): Connection refused
            ! traceroute: bad address 'nosuch'
            [exit 1]
        "#]],
    );
}

#[test]
fn verbose() {
    check(
        &format!("{SERVE} serve 8080 '200 OK'; curl -v http://localhost:8080/x?y -H 'X-A: b' -d a=b"),
        expect![[r#"
        hello
        !   % Total    % Received % Xferd  Average Speed   Time    Time     Time  Current
        !                                  Dload  Upload   Total   Spent    Left  Speed
        ! ␍  0     0    0     0    0     0      0      0 --:--:-- --:--:-- --:--:--     0*   Trying 127.0.0.1:8080...
        ! * Connected to localhost (127.0.0.1) port 8080
        ! > POST /x?y HTTP/1.1
        ! > Host: localhost:8080
        ! > User-Agent: curl/8.5.0
        ! > Accept: */*
        ! > Content-Length: 3
        ! > Content-Type: application/x-www-form-urlencoded
        ! > X-A: b
        ! > 
        ! < HTTP/1.1 200 OK
        ! < Content-Type: text/plain
        ! < Content-Length: 6
        ! < 
        ! { [6 bytes data]
        ! * Connection #0 to host localhost left intact
        ! ␍100     9  100     6  100     3   6000   3000 --:--:-- --:--:-- --:--:--  6000
    "#]],
    );
}

#[test]
fn timeouts_and_ping() {
    check(
        "nc -l -p 80 & sleep 0.1; curl -sS -m 2 http://localhost; date +%S; ping -c 2 127.0.0.1; ping -c 1 localhost | head -1; traceroute -n 127.0.0.1; \
         echo hi | nc -l -p 90 & sleep 0.1; nc localhost 90 </dev/null; nc -l -u -p 53 >q & nslookup -type=a x.y 127.0.0.1",
        expect![[r#"
            GET / HTTP/1.1␍
            Host: localhost␍
            User-Agent: curl/8.5.0␍
            Accept: */*␍
            ␍
            00
            PING 127.0.0.1 (127.0.0.1): 56 data bytes
            64 bytes from 127.0.0.1: seq=0 ttl=64 time=0.000 ms
            64 bytes from 127.0.0.1: seq=1 ttl=64 time=0.000 ms

            --- 127.0.0.1 ping statistics ---
            2 packets transmitted, 2 packets received, 0% packet loss
            round-trip min/avg/max = 0.000/0.000/0.000 ms
            PING localhost (127.0.0.1): 56 data bytes
            traceroute to 127.0.0.1 (127.0.0.1), 30 hops max, 46 byte packets
             1  127.0.0.1  0.000 ms  0.000 ms  0.000 ms
            hi
            Server:		127.0.0.1
            Address:	127.0.0.1:53

            ;; connection timed out; no servers could be reached

            ! curl: (52) Empty reply from server
            [exit 1]
        "#]],
    );
}
