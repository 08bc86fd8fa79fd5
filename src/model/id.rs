//! Names by role, so that a route can't be passed where a pair is meant. Cloning one is a reference count.

use serde::{Deserialize, Serialize};
use std::{borrow::Borrow, fmt, ops::Deref, sync::Arc};

/// Characters of a name at most.
pub const LONGEST_NAME: usize = 64;
/// Bytes of it at most where it is a part of a URL or a file's name, which has 255 bytes with its ending.
const LONGEST_ENCODED: usize = 200;

/// Is the name short enough, also as a part of URLs and file names? There every byte that is no ASCII letter or digit takes three (`%C3`).
#[must_use]
pub fn is_short_enough(name: &str) -> bool {
    let encoded: usize = name.bytes().map(|byte| if byte.is_ascii_alphanumeric() { 1 } else { 3 }).sum();
    name.chars().count() <= LONGEST_NAME && encoded <= LONGEST_ENCODED
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(transparent)]
        #[schema(value_type = String)]
        pub struct $name(Arc<str>);

        impl Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

name!(
    /// The name of a pair, the virtual server clients mean (`AGG_V`).
    PairName
);
name!(
    /// The name of one server of a pair (`AGG_P`); unique within its pair.
    UpstreamName
);
name!(
    /// The name of a route.
    RouteName
);
name!(
    /// The name of a node, one running proxy.
    NodeName
);
