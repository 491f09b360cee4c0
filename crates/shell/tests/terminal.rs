//! The shell on a terminal: prompt, editing, history, Ctrl-C, jobs.

use expect_test::{Expect, expect};
use shell::testing::Host;
use sim::Duration;

fn session(keys: &[&str], want: Expect) {
    let mut h = Host::new(&[shell::commands::TABLE]);
    let (_, tty) = h.on_tty(&["sh"]).unwrap();
    let mut shown = h.type_keys(tty, "", Duration::from_secs(1));
    for k in keys {
        shown.push_str(&h.type_keys(tty, k, Duration::from_secs(1)));
    }
    want.assert_eq(&shown.replace('\r', "").replace('\x1b', "␛"));
}

#[test]
fn commands_and_continuation() {
    session(
        &["echo hi\r", "for i in 1 2\rdo echo $i\rdone\r", "cat\r", "line\r", "\x04", "exit 3\r"],
        expect![[r#"
        ~ # echo hi
        hi
        ~ # for i in 1 2
        > do echo $i
        > done
        1
        2
        ~ # cat
        line
        line
        ~ # exit 3
    "#]],
    );
}

#[test]
fn interrupts() {
    session(
        &[
            "sleep 100\r",
            "\x03",
            "echo $?\r",
            "half a line\x03",
            "while :; do sleep 1; done\r",
            "\x03",
            "echo $?\r",
        ],
        expect![[r#"
        ~ # sleep 100
        ^C
        ~ # echo $?
        130
        ~ # ^C
        ~ # while :; do sleep 1; done
        ^C
        ~ # echo $?
        130
        ~ # "#]],
    );
}

#[test]
fn editing_and_history() {
    session(
        &[
            "ecX\x7fho one\r",
            "\x1b[A\r",
            "echo  b\x1b[D\x1b[Da\r",
            "ech\t\t",
            "hello\x15echo x\r",
            "ls /et\t\r",
        ],
        expect![[r#"
        ~ # ecX␛[Kho one
        one
        ~ # echo one␛[K
        one
        ~ # echo  b␛[1D␛[1Da b␛[2D
        a b
        ~ # echo hello␛[10D␛[Kecho x
        x
        ~ # ls /etc/
        group        hosts        passwd       resolv.conf
        ~ # "#]],
    );
}

#[test]
fn jobs() {
    session(
        &[
            "sleep 5 &\r",
            "jobs\r",
            "kill %1\r",
            "echo x\r",
            "nosuch\r",
            "cd /tmp\r",
            "sleep 20\r",
            "\x1a",
            "jobs\r",
            "fg\r",
            "\x03",
            "fg %3\r",
            "\x04",
        ],
        expect![[r#"
        ~ # sleep 5 &
        ~ # jobs
        [1]+  Running                    sleep 5
        ~ # kill %1
        ~ # echo x
        x
        [1]+  Terminated                 sleep 5
        ~ # nosuch
        sh: nosuch: not found
        ~ # cd /tmp
        /tmp # sleep 20
        ^Z[1]+  Stopped                    sleep 20
        /tmp # jobs
        [1]+  Stopped                    sleep 20
        /tmp # fg
        sleep 20
        ^C
        /tmp # fg %3
        sh: fg: %3: no such job
        /tmp # 
    "#]],
    );
}

#[test]
fn a_copy_goes_its_own_way() {
    let mut h = Host::new(&[shell::commands::TABLE]);
    let (_, tty) = h.on_tty(&["sh"]).unwrap();
    h.type_keys(tty, "x=1; while read l; do x=$((x+l)); echo $x; done\r", Duration::from_secs(1));
    let mut other = h.clone();
    let a = h.type_keys(tty, "5\r", Duration::from_secs(1));
    let b = other.type_keys(tty, "7\r", Duration::from_secs(1));
    assert!(a.contains("\n6") && b.contains("\n8"), "{a:?} {b:?}");
}
