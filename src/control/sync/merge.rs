//! One configuration out of a node's own tables and the settings of all seats known to it.

use super::{Settings, Unreadable};
use crate::model::{NodeName, PairName, RouteName};
use toml::{Table, Value};

/// Why there is no such configuration.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// A part is no TOML.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// Two seats have something of one name.
    #[error("{what} `{name}` is in seat {one} and in seat {other}: give one of them another name")]
    Twice {
        /// `pair` or `route`.
        what: &'static str,
        /// The name.
        name: String,
        /// The one seat.
        one: NodeName,
        /// The other.
        other: NodeName,
    },
}

const NAMED: [&str; 2] = ["pairs", "routes"];

/// The configuration text `own` of the node `me`, with the pairs and routes of `seats` in place of its own. Alerts are those of its own
/// seat, else its own, else those of the first seat that has any: a backup node tells who the primary node would tell (`B7`).
///
/// # Errors
/// [`MergeError`].
pub fn merged<'a>(
    own: &str,
    me: &NodeName,
    seats: impl Iterator<Item = (&'a NodeName, &'a str)>,
) -> Result<String, MergeError> {
    let mut whole: Table = own.parse().map_err(Unreadable::from)?;
    let own_alerts = whole.remove("alerts");
    NAMED.iter().for_each(|key| drop(whole.remove(*key)));
    let (mut owners, mut alerts, mut of_me) = (Vec::<(&str, String, NodeName)>::new(), None, None);
    for (seat, settings) in seats {
        let mut theirs: Table = settings.parse().map_err(Unreadable::from)?;
        for what in NAMED {
            let Some(Value::Table(named)) = theirs.remove(what) else { continue };
            for (name, value) in named {
                if let Some((_, _, one)) = owners.iter().find(|(kind, known, _)| *kind == what && *known == name) {
                    let (one, other) = (one.clone(), seat.clone());
                    return Err(MergeError::Twice { what: what.trim_end_matches('s'), name, one, other });
                }
                owners.push((what, name.clone(), seat.clone()));
                let all = whole.entry(what).or_insert_with(|| Value::Table(Table::new()));
                all.as_table_mut().into_iter().for_each(|all| drop(all.insert(name.clone(), value.clone())));
            }
        }
        let told = theirs.remove("alerts");
        match seat == me {
            true => of_me = told,
            false => alerts = alerts.or(told),
        }
    }
    if let Some(alerts) = of_me.or(own_alerts).or(alerts) {
        whole.insert("alerts".into(), alerts);
    }
    Ok(whole.to_string())
}

impl Settings {
    /// The names of its pairs and of its routes; none if it can't be read.
    #[must_use]
    pub fn names(&self) -> (Vec<PairName>, Vec<RouteName>) {
        let table: Table = self.text().parse().unwrap_or_default();
        let names = |what: &str| {
            let named = table.get(what).and_then(Value::as_table);
            named.map(|named| named.keys().cloned().collect::<Vec<String>>()).unwrap_or_default()
        };
        (
            names("pairs").into_iter().map(|name| name.as_str().into()).collect(),
            names("routes").into_iter().map(|name| name.as_str().into()).collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "[node]\nname = \"B\"\n[pairs.MINE]\nbackups = []\n";

    fn seat(pair: &str) -> String {
        format!("[pairs.{pair}]\nbackups = []\n[routes.r{pair}]\npair = \"{pair}\"\n[alerts]\nto = \"{pair}\"\n")
    }

    #[test]
    fn g2_a_backup_of_two_has_the_pairs_of_both_and_none_of_its_own() {
        let (one, two) = (seat("X"), seat("Y"));
        let names = [NodeName::from("A1"), "A2".into()];
        let seats = [(&names[0], one.as_str()), (&names[1], two.as_str())];
        let table: Table = merged(OWN, &"B".into(), seats.into_iter()).unwrap().parse().unwrap();
        assert_eq!(table["pairs"].as_table().unwrap().keys().collect::<Vec<_>>(), ["X", "Y"]);
        assert_eq!(table["routes"].as_table().unwrap().len(), 2);
        assert_eq!((table["node"]["name"].as_str(), table["alerts"]["to"].as_str()), (Some("B"), Some("X")));
        assert_eq!(Settings::received(one).names(), (vec!["X".into()], vec!["rX".into()]));
    }

    #[test]
    fn one_name_in_two_seats_is_refused_with_both_seats() {
        let (one, names) = (seat("X"), [NodeName::from("A1"), "A2".into()]);
        let seats = [(&names[0], one.as_str()), (&names[1], one.as_str())];
        let error = merged(OWN, &"B".into(), seats.into_iter()).unwrap_err().to_string();
        assert_eq!(error, "pair `X` is in seat A1 and in seat A2: give one of them another name");
    }

    #[test]
    fn b7_alerts_are_those_of_its_own_seat_else_its_own_else_copied() {
        let (mine, theirs) = (seat("X"), seat("Y"));
        let names = [NodeName::from("A"), "B".into()];
        let both = [(&names[0], theirs.as_str()), (&names[1], mine.as_str())];
        let to = |own: &str, seats: &[(&NodeName, &str)]| {
            let table: Table = merged(own, &"B".into(), seats.iter().copied()).unwrap().parse().unwrap();
            table["alerts"]["to"].as_str().unwrap().to_owned()
        };
        assert_eq!(to(OWN, &both), "X");
        assert_eq!(to(&format!("{OWN}[alerts]\nto = \"own\"\n"), &both[..1]), "own");
        assert_eq!(to(OWN, &both[..1]), "Y");
    }

    #[test]
    fn a_backup_node_keeps_what_is_its_own() {
        let with = |own: &str, settings: &str| -> Table {
            merged(own, &"B".into(), [(&NodeName::from("A"), settings)].into_iter()).unwrap().parse().unwrap()
        };
        let table = with("[node]\nname = \"B\"\n[pairs.OLD]\nbackups = []\n", &seat("V"));
        assert_eq!(table["node"]["name"].as_str(), Some("B"));
        assert!(table["pairs"].get("OLD").is_none() && table["pairs"].get("V").is_some());
        let forged = with("[node]\nname = \"A\"\n", "[node]\nname = \"C\"\n[pairs.V]\n");
        assert_eq!(forged["node"]["name"].as_str(), Some("A"));
    }
}
