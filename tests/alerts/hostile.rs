//! Mail servers that behave badly cost nothing but their own mail.

use crate::{
    common::{address::own_ip, eventually},
    node::Node,
};
use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    thread,
};

/// A node that sends its mails to whoever accepts here.
fn mailing() -> (TcpListener, Node) {
    let listener = TcpListener::bind((own_ip(), 0)).unwrap();
    let host = listener.local_addr().unwrap();
    let smtp =
        format!("host = \"{host}\", from = \"failback@example.net\", to = [\"oncall@example.net\"], tls = \"none\"");
    (listener, Node::telling(&format!("smtp = {{ {smtp} }}\n")))
}

fn mails(node: &Node, result: &str) -> f64 {
    node.proxy.admin.metric("failback_alerts_total", &[("channel", "smtp"), ("result", result)])
}

#[test]
fn one_that_does_not_stop_talking_is_hung_up_on() {
    let (listener, node) = mailing();
    node.fail_over();
    let (mut talker, _) = listener.accept().unwrap();
    let (words, mut said) = ([b'2'; 1 << 16], 0);
    while talker.write_all(&words).is_ok() {
        said += words.len();
        assert!(said < 64 << 20, "a line without an end is read for ever");
    }
    eventually("it is tried again", || (mails(&node, "retried") >= 1.0).then_some(()));
    let warnings = node.proxy.admin.status().warnings;
    assert!(warnings.iter().any(|words| words.contains("does not stop talking")), "{warnings:?}");
}

#[test]
fn one_that_has_the_mail_and_never_says_goodbye_is_not_sent_it_again() {
    let (listener, node) = mailing();
    node.fail_over();
    let (client, _) = listener.accept().unwrap();
    let silent = thread::spawn(move || take_mail(client));
    eventually("it counts as delivered", || (mails(&node, "delivered") == 1.0).then_some(()));
    assert_eq!(mails(&node, "retried"), 0.0);
    silent.join().unwrap();
}

/// Takes one mail, and then says nothing until the client has gone.
fn take_mail(mut client: TcpStream) {
    let lines = BufReader::new(client.try_clone().unwrap()).lines().map_while(Result::ok);
    client.write_all(b"220 mail\r\n").unwrap();
    let mut in_mail = false;
    for line in lines {
        let answer = match line.as_str() {
            "DATA" => "354 go on\r\n",
            "QUIT" => "",
            "." => "250 taken\r\n",
            _ if in_mail => "",
            _ => "250 good\r\n",
        };
        in_mail = (in_mail || line == "DATA") && line != ".";
        client.write_all(answer.as_bytes()).unwrap();
    }
}
