//! A connection on its way through this process.

use std::sync::Arc;

use super::{
    now,
    shared::{ShardId, Shared},
};
use crate::plane::FlowId;

/// A connection that the core knows, until this is dropped.
#[derive(Debug)]
pub(super) struct Carried {
    pub(super) shared: Arc<Shared>,
    pub(super) shard: ShardId,
    pub(super) id: FlowId,
}

impl Drop for Carried {
    fn drop(&mut self) {
        self.shared.end(self.shard, self.id, now());
    }
}
