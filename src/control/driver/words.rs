//! Notes and verdicts in words: for events, answers and the log.

use crate::{
    decide::effect::{Note, SignalRefusal, Verdict},
    model::{
        PairName, Side, TransitionReason, UpstreamName,
        spec::PairSpec,
        view::{HealthName, PairStateName},
    },
};

/// An event before it has a number and a time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Story {
    /// The stable word for scripts.
    pub(super) kind: &'static str,
    /// The reason's label, if it has one.
    pub(super) reason: Option<String>,
    /// The whole of it in a sentence.
    pub(super) message: String,
    /// Worth a warning in the log.
    pub(super) grave: bool,
}

/// A note of `spec`'s pair as an event. `by` is who gave the order or sent the signal, if somebody did.
pub(super) fn story(spec: &PairSpec, note: &Note, by: Option<&str>) -> Story {
    let pair = &spec.name;
    let by = by.map(|by| format!(" by {by}")).unwrap_or_default();
    let (kind, reason, message, grave) = match note {
        Note::Transition { from, to, from_upstream, to_upstream, epoch, reason } => {
            let moved = from_upstream != to_upstream;
            let kind = transition_kind(spec, moved.then_some(to_upstream), *to, *reason);
            let whereto = match to {
                PairStateName::NoServer => format!("no server is usable, it is {to_upstream}'s turn"),
                _ if moved => format!("clients go from {from_upstream} to {to_upstream}"),
                _ => format!("clients stay on {to_upstream}"),
            };
            let states = match from == to {
                true => to.as_str().into(),
                false => format!("{} → {}", from.as_str(), to.as_str()),
            };
            let message = format!("{pair}: {states}, {whereto} (epoch {epoch}): {}", reason.words());
            (kind, Some(reason.as_str().into()), message, matches!(kind, "failover" | "no_server"))
        }
        Note::Health { upstream, to, failure } => {
            let why = failure.as_ref().map(|failure| format!(": {failure}")).unwrap_or_default();
            let word = to.as_str();
            ("health", Some(word.into()), format!("{pair}: {upstream} is {word}{why}"), *to == HealthName::Down)
        }
        Note::Signal { of, verdict } => {
            let message = format!("{pair}: resync signal for the {of}{by}: {}", verdict_words(verdict));
            ("resync_signal", Some(verdict.as_str().into()), message, false)
        }
        Note::Order { order, verdict } => {
            let message = format!("{pair}: order{by}: {order}: {}", verdict_words(verdict));
            ("order", Some(verdict.as_str().into()), message, false)
        }
        Note::Latched { failovers } => {
            let message =
                format!("{pair}: {failovers} failovers in {:?}; latched until `switch --auto`", spec.flap.window);
            ("latched", None, message, true)
        }
        Note::Migration(words) => ("migration", None, format!("{pair}: {words}"), false),
        Note::Outnumbered(epoch) => {
            let message = format!(
                "{pair}: while the nodes were parted another one acted under epoch {epoch}: the epoch rises above it, so that no signal about that is \
                 taken for one about this"
            );
            ("outnumbered", None, message, true)
        }
        Note::SignalLost(upstream) => {
            let again = match spec.failback.source {
                Some(_) => "its source is asked again".into(),
                None => format!("once it is sure that {upstream} still has everything: `failback resync {pair}`"),
            };
            let message = format!(
                "{pair}: the accepted resync signal does not hold any more, as this node began to watch {upstream} anew; {again}"
            );
            ("signal_lost", None, message, true)
        }
        Note::Gap(span) => {
            let message = format!("{pair}: nobody watched for {:.3} s", span.as_secs_f64());
            ("gap", None, message, true)
        }
        Note::Identity(words) => ("identity", None, format!("{pair}: {words}"), true),
        Note::NotStored => {
            let message =
                format!("{pair}: the new state could not be stored, so nothing was changed; it is tried again");
            ("not_stored", None, message, true)
        }
    };
    Story { kind, reason, message, grave }
}

/// A link that is down, or up again.
pub(super) fn link_story(pair: &PairName, trouble: Option<&str>) -> Story {
    let (kind, message) = match trouble {
        Some(trouble) => ("local_trouble", format!("{pair}: {trouble}; checks count for nothing until that is over")),
        None => ("local_recovered", format!("{pair}: its active server can be tried from here again")),
    };
    Story { kind, reason: None, message, grave: trouble.is_some() }
}

/// The kind of a transition; `to_upstream` if clients go to another server.
fn transition_kind(
    spec: &PairSpec,
    to_upstream: Option<&UpstreamName>,
    to: PairStateName,
    reason: TransitionReason,
) -> &'static str {
    use TransitionReason::*;
    match (to_upstream.and_then(|upstream| spec.side_of(upstream)), reason) {
        (Some(_), OperatorSwitch) => "switch",
        (Some(Side::Backup), UpstreamRefused | UpstreamSilent | UpstreamWrong | BackupAdmitted) => "failover",
        (Some(Side::Primary), PrimaryResynced | PrimaryPolled) => "failback",
        _ if to == PairStateName::NoServer => "no_server",
        _ => "transition",
    }
}

/// A verdict as the end of a sentence.
pub(super) fn verdict_words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::SignalAccepted => "accepted: it holds everything again".into(),
        Verdict::SignalRepeated => "it was accepted before; nothing changed".into(),
        Verdict::SignalIgnored(refusal) => format!("ignored: {}", refusal_words(refusal)),
        Verdict::Done(words) | Verdict::Unchanged(words) => words.clone(),
        Verdict::Refused(words) => format!("refused: {words}"),
    }
}

/// Why a signal changed nothing (`N5`).
pub(super) fn refusal_words(refusal: &SignalRefusal) -> String {
    match refusal {
        SignalRefusal::NotFailedOver => "it is the primary's turn; there is nothing to return from".into(),
        SignalRefusal::NobodyServed(why) => format!("there is nothing to return from; nobody is served: {why}"),
        SignalRefusal::PrimaryDown => "the server does not pass its checks".into(),
        SignalRefusal::WrongEpoch { given, have } => format!("it is for epoch {given}, the pair is at epoch {have}"),
        SignalRefusal::NoSuchSide(side) => format!("the pair has no {side} this could be of"),
        SignalRefusal::SameServer => "its name resolves to an address of the server that clients are on".into(),
        SignalRefusal::Busy => "too many signals are being validated; send it again".into(),
        SignalRefusal::Overtaken => "the pair changed while the signal was being validated".into(),
        SignalRefusal::NotStored => "the state could not be stored; send it again".into(),
    }
}
