//! What tells whether a check is the one that something was known by.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{
    balance::CheckName,
    conf::model::{Check, CheckKind, TlsClient, VirtualServer},
};

/// A number that another check hardly has. Another build of the daemon may give the same check
/// another one, which costs no more than what was known by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// Of a check, and of who it says it is where it asks over TLS.
    fn of(check: &Check, client: Option<&TlsClient>) -> Self {
        let asks_over_tls = matches!(&check.kind, CheckKind::Http(http) if http.tls.is_some());
        let client = client.filter(|_| asks_over_tls);
        let mut hasher = DefaultHasher::new();
        (&check.kind, &check.config, client).hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// Of all checks of some virtual servers.
#[must_use]
pub fn fingerprints(
    virtual_servers: &[Arc<VirtualServer>],
    client: Option<&TlsClient>,
) -> BTreeMap<CheckName, Fingerprint> {
    let checks = virtual_servers.iter().flat_map(|it| CheckName::all_of(it));
    checks
        .map(|(name, check)| (name, Fingerprint::of(check, client)))
        .collect()
}
