//! Does a certificate carry a wanted name? Pure, and stricter than most: what is not clearly right is wrong.
//!
//! - A wanted name is matched against the DNS names among the alternative names, letters of either case alike (RFC 9525 §6.3).
//!   Names that are no DNS names in the strict sense (`AGG_V`, `NCOMS`, a last label of digits) match exactly.
//! - `*` stands for one whole left-most label, with two labels behind it at least (`*.example.net`; never `*`, `*.net`,
//!   `a*.example.net`), and only in host names: underscores and a last label of digits want the exact name. An A-label
//!   (`xn--…`) is a label as others are, and names in other alphabets are compared as A-labels.
//! - A dot at the end, which only says that a name is whole, is passed over on both sides.
//! - A wanted IP address is matched against the IP addresses among the alternative names, and nothing else.
//! - The Common Name counts only under `if-no-san`, and only where there is no DNS name among the alternative names *at all*,
//!   not even a malformed one (RFC 6125 §6.4.4). IP addresses there don't hinder it: they name other things, and legacy tools
//!   add them by themselves. It has no wildcard. Of several Common Names the most specific one counts, which is the last; where
//!   two share a place none does, since nobody can say which is meant.
//! - An offered name with a byte that no name has (NUL, space, anything that is not ASCII) never matches.

use crate::model::tls::CommonName;
use std::{fmt, net::IpAddr};

/// The names that a certificate carries, as they are written there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offered {
    /// DNS names among the alternative names.
    pub dns: Vec<String>,
    /// IP addresses among the alternative names.
    pub ips: Vec<IpAddr>,
    /// Common Names of the subject by the place they stand at, the most specific last.
    pub common: Vec<Vec<String>>,
}

/// What decided that a certificate is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// This DNS name among the alternative names.
    DnsName(String),
    /// This IP address among them.
    IpAddress(IpAddr),
    /// The Common Name, in want of any DNS name.
    CommonName(String),
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DnsName(name) => write!(f, "the DNS name {name} among its alternative names"),
            Self::IpAddress(ip) => write!(f, "the IP address {ip} among its alternative names"),
            Self::CommonName(name) => write!(f, "the Common Name {name}, since it has no DNS name"),
        }
    }
}

/// The first of the `wanted` names that is carried.
#[must_use]
pub fn accept(offered: &Offered, wanted: &[String], policy: CommonName) -> Option<Rule> {
    wanted.iter().find_map(|wanted| carries(offered, wanted, policy))
}

fn carries(offered: &Offered, wanted: &str, policy: CommonName) -> Option<Rule> {
    // Before it is asked whether this is an address, so that a dot behind it can't make it a name.
    let wanted = whole(wanted);
    if let Ok(ip) = wanted.parse::<IpAddr>() {
        return offered.ips.contains(&ip).then_some(Rule::IpAddress(ip));
    }
    if let Some(name) = offered.dns.iter().find(|name| matches(name, wanted)) {
        return Some(Rule::DnsName(name.clone()));
    }
    let common = common_name(offered).filter(|_| policy == CommonName::IfNoSan && offered.dns.is_empty())?;
    (!common.contains('*') && matches(common, wanted)).then(|| Rule::CommonName(common.into()))
}

/// The one Common Name that may count.
#[must_use]
pub(super) fn common_name(offered: &Offered) -> Option<&str> {
    let ambiguous = offered.common.iter().any(|place| place.len() != 1);
    offered.common.last().filter(|_| !ambiguous)?.first().map(String::as_str)
}

/// Is `wanted` what `offered` stands for?
#[must_use]
pub(super) fn matches(offered: &str, wanted: &str) -> bool {
    let (offered, wanted) = (whole(offered), whole(wanted));
    if !is_name(offered) || !is_name(wanted) || wanted.contains('*') {
        return false;
    }
    let Some(behind) = offered.strip_prefix("*.") else {
        return !offered.contains('*') && offered.eq_ignore_ascii_case(wanted);
    };
    let Some((_, rest)) = wanted.split_once('.') else { return false };
    behind.contains('.') && !behind.contains('*') && rest.eq_ignore_ascii_case(behind) && is_host_name(wanted)
}

/// Without the dot that says that a name is whole.
fn whole(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

fn is_name(name: &str) -> bool {
    name.len() <= 253
        && name.bytes().all(|byte| byte.is_ascii_graphic())
        && name.split('.').all(|label| !label.is_empty())
}

/// RFC 1123 §2.1: letters, digits and hyphens, none of these at a label's end; the last label is no number (RFC 3696 §2).
fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        plain && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    let number = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    name.split('.').all(label) && !number
}

impl fmt::Display for Offered {
    /// What it carries, as the end of a sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = crate::model::plain::plain;
        let dns = self.dns.iter().map(|name| format!("DNS {}", plain(name)));
        let ips = self.ips.iter().map(|ip| format!("IP {ip}"));
        let common = self.common.iter().flatten().map(|name| format!("Common Name {}", plain(name)));
        let all: Vec<_> = dns.chain(ips).chain(common).take(20).collect();
        f.write_str(&if all.is_empty() { "no name at all".into() } else { all.join(", ") })
    }
}

#[cfg(test)]
mod table;
#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn offered(dns: &[&str], common: &[&[&str]]) -> Offered {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        Offered { dns: owned(dns), ips: Vec::new(), common: common.iter().map(|names| owned(names)).collect() }
    }

    #[test]
    fn the_table_of_names_holds() {
        for (offered, wanted, expected) in table::ROWS {
            assert_eq!(matches(offered, wanted), *expected, "{offered:?} for {wanted:?}");
        }
    }

    #[test]
    fn n8_the_common_name_counts_only_if_it_may_and_nothing_better_is_there() {
        let accepted = |offered: &Offered, policy| accept(offered, &["AGG_V".into()], policy);
        let alone = offered(&[], &[&["AGG_V"]]);
        assert_eq!(accepted(&alone, CommonName::IfNoSan), Some(Rule::CommonName("AGG_V".into())));
        assert_eq!(accepted(&alone, CommonName::Never), None);
        assert_eq!(accepted(&offered(&["other"], &[&["AGG_V"]]), CommonName::IfNoSan), None);
        assert_eq!(accepted(&offered(&["bro\0ken"], &[&["AGG_V"]]), CommonName::IfNoSan), None);
        let with_ip = Offered { ips: vec![[10, 0, 0, 1].into()], ..alone };
        assert_eq!(accepted(&with_ip, CommonName::IfNoSan), Some(Rule::CommonName("AGG_V".into())));
    }

    #[test]
    fn of_several_common_names_the_most_specific_counts_and_two_in_one_place_do_not() {
        let accepted = |common: &[&[&str]]| accept(&offered(&[], common), &["AGG_V".into()], CommonName::IfNoSan);
        assert!(accepted(&[&["NCOMS"], &["AGG_V"]]).is_some());
        assert!(accepted(&[&["AGG_V"], &["NCOMS"]]).is_none());
        assert!(accepted(&[&["AGG_V", "NCOMS"]]).is_none());
        assert!(accepted(&[&["*.V"]]).is_none());
    }

    #[test]
    fn an_ip_address_is_carried_as_one_or_not_at_all() {
        let wanted = ["10.0.0.1".to_owned()];
        assert_eq!(accept(&offered(&["10.0.0.1"], &[]), &wanted, CommonName::IfNoSan), None);
        assert_eq!(accept(&offered(&[], &[&["10.0.0.1"]]), &wanted, CommonName::IfNoSan), None);
        let carried = Offered { ips: vec![[10, 0, 0, 1].into()], ..Offered::default() };
        assert_eq!(accept(&carried, &wanted, CommonName::Never), Some(Rule::IpAddress([10, 0, 0, 1].into())));
    }

    #[test]
    fn n9_any_name_of_the_list_will_do() {
        let wanted = ["NCOMS".to_owned(), "AGG_V".to_owned()];
        assert!(accept(&offered(&["AGG_V"], &[]), &wanted, CommonName::Never).is_some());
        assert!(accept(&offered(&["AGG_B"], &[]), &wanted, CommonName::Never).is_none());
    }

    proptest! {
        #[test]
        fn what_matches_has_as_many_labels_and_the_same_ones_but_the_first(
            offered in "[*a-cA-C_.\\-]{0,12}", wanted in "[a-cA-C_.\\-]{0,12}"
        ) {
            if matches(&offered, &wanted) {
                let (one, other) = (whole(&offered), whole(&wanted));
                prop_assert_eq!(one.split('.').count(), other.split('.').count());
                let rest = |name: &str| name.split_once('.').map(|(_, rest)| rest.to_ascii_lowercase());
                prop_assert_eq!(rest(one), rest(other));
            }
        }

        #[test]
        fn letters_of_either_case_are_alike(offered in "\\PC{0,20}", wanted in "\\PC{0,20}") {
            let lower = matches(&offered.to_ascii_lowercase(), &wanted.to_ascii_lowercase());
            prop_assert_eq!(matches(&offered, &wanted), lower);
        }

        #[test]
        fn a_common_name_never_counts_beside_a_dns_name(dns in ".{0,12}", common in "[a-z]{1,8}") {
            prop_assume!(dns != common);
            let offered = offered(&[&dns], &[&[&common]]);
            let accepted = accept(&offered, &[common], CommonName::IfNoSan);
            prop_assert!(!matches!(accepted, Some(Rule::CommonName(_))));
        }
    }
}
