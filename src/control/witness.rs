//! Witnesses: addresses that answer while the network is fine. Who reaches none of them is cut off himself (`B10`).

use crate::{
    model::{HostPort, group::Witness},
    net::{
        dial::{DialError, FirstWord, dial},
        ping::ping,
    },
};
use std::time::Duration;
use tokio::{
    net::lookup_host,
    task::JoinSet,
    time::{Instant, timeout_at},
};

/// What the witnesses said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Testimony {
    /// Who answered.
    pub answered: Vec<Witness>,
    /// Who did not, and why.
    pub silent: Vec<(Witness, String)>,
}

impl Testimony {
    /// Did one of them answer? With no witness at all nobody can.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        !self.answered.is_empty()
    }
}

/// Asks all of them at once, each for at most `wait`. Those that answered, in the order they are configured in.
pub async fn ask(witnesses: &[Witness], wait: Duration) -> Testimony {
    let end = Instant::now() + wait;
    let mut asked = JoinSet::new();
    for (number, witness) in witnesses.iter().cloned().enumerate() {
        asked.spawn(async move { (number, ask_one(&witness, end).await) });
    }
    let mut answers = asked.join_all().await;
    answers.sort_by_key(|(number, _)| *number);
    let mut testimony = Testimony::default();
    for (witness, (_, answer)) in witnesses.iter().zip(answers) {
        match answer {
            Ok(()) => testimony.answered.push(witness.clone()),
            Err(why) => testimony.silent.push((witness.clone(), why)),
        }
    }
    testimony
}

async fn ask_one(witness: &Witness, end: Instant) -> Result<(), String> {
    match witness {
        Witness::Icmp(address) => ping(*address, end).await.map_err(|error| error.to_string()),
        Witness::Tcp(address) => knock(address, end).await,
    }
}

/// A connection that is refused was refused by somebody: it is an answer.
async fn knock(address: &HostPort, end: Instant) -> Result<(), String> {
    let found = match timeout_at(end, lookup_host((address.host.as_str(), address.port))).await {
        Ok(found) => found.map_err(|error| error.to_string())?,
        Err(_) => return Err("its name could not be resolved in time".into()),
    };
    let mut worst = "its name has no address".to_owned();
    let mut knocking = JoinSet::new();
    for address in found {
        let left = end.saturating_duration_since(Instant::now());
        knocking.spawn(async move { dial(&[address], left, FirstWord::Unknown).await });
    }
    while let Some(answer) = knocking.join_next().await {
        match answer {
            Ok(Ok(_) | Err(DialError::Refused)) => return Ok(()),
            Ok(Err(error)) => worst = error.to_string(),
            Err(error) => worst = error.to_string(),
        }
    }
    Err(worst)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn tcp(port: u16) -> Witness {
        Witness::Tcp(HostPort { host: "127.0.0.1".into(), port })
    }

    #[tokio::test]
    async fn b10_accepting_and_refusing_are_answers_alike() {
        let open = TcpListener::bind("127.0.0.1:0").unwrap();
        let shut = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let witnesses = [tcp(shut), tcp(open.local_addr().unwrap().port())];
        let testimony = ask(&witnesses, Duration::from_secs(10)).await;
        assert_eq!(testimony, Testimony { answered: witnesses.to_vec(), silent: vec![] });
    }

    #[tokio::test]
    async fn b10_a_witness_that_can_be_pinged_answers() {
        let witnesses = [Witness::Icmp("127.0.0.1".parse().unwrap())];
        let testimony = ask(&witnesses, Duration::from_secs(10)).await;
        assert!(testimony.is_connected(), "{testimony:?}");
    }

    #[tokio::test]
    async fn b10_with_no_witness_nobody_answered() {
        assert!(!ask(&[], Duration::from_secs(1)).await.is_connected());
    }
}
