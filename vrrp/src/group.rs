//! Sync groups: routers that change role together.
//!
//! All members become master once every one of them would; when one leaves for a better master, the
//! others leave too; while one is in fault, all are (keepalived's `vrrp_sync_group`).
//!
//! A group is a value above its routers: it is told how each member stands and answers with
//! [`GroupOrder`]s for the others. [`Node`](crate::Node) carries them.

use std::collections::VecDeque;

use crate::{GroupOrder, Role, RouterId, Standing};

/// What a group wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupOutput {
    /// Hand this to a member, as [`Input::Group`](crate::Input::Group).
    Order {
        /// The member.
        member: RouterId,
        /// What it shall do.
        order: GroupOrder,
    },
    /// The role of the group as a whole changed.
    RoleChanged {
        /// The role it had.
        from: Role,
        /// The role it has.
        to: Role,
    },
}

/// Routers that change role together.
#[derive(Debug, Clone, Default)]
pub struct SyncGroup {
    members: Vec<Member>,
    told: Role,
    outputs: VecDeque<GroupOutput>,
}

#[derive(Debug, Clone)]
struct Member {
    id: RouterId,
    standing: Standing,
    told_role: Role,
    held_in_fault: bool,
}

impl SyncGroup {
    /// A group of these routers, in the order of the configuration.
    #[must_use]
    pub fn new(members: impl IntoIterator<Item = RouterId>) -> Self {
        let mut group = Self::default();
        group.set_members(members);
        group
    }

    /// Makes these routers the members; those that are members already stay as they stand. Drain
    /// [`SyncGroup::poll_output`] afterwards: who leaves may have kept the others from something.
    pub fn set_members(&mut self, members: impl IntoIterator<Item = RouterId>) {
        let old = std::mem::take(&mut self.members);
        let stays = |id| old.iter().find(|member| member.id == id).cloned();
        self.members = members
            .into_iter()
            .map(|id| {
                stays(id).unwrap_or(Member {
                    id,
                    standing: Standing::NotReady,
                    told_role: Role::Init,
                    held_in_fault: false,
                })
            })
            .collect();
        self.share_fault();
        self.promote_if_all_can();
        self.tell();
    }

    /// Its members.
    pub fn members(&self) -> impl Iterator<Item = RouterId> + '_ {
        self.members.iter().map(|member| member.id)
    }

    /// The role of the group as a whole: master once all members are, fault while any is.
    #[must_use]
    pub fn role(&self) -> Role {
        let any = |role| self.members.iter().any(|member| member.told_role == role);
        let all = |role| self.members.iter().all(|member| member.told_role == role);
        match () {
            () if self.members.is_empty() || any(Role::Init) => Role::Init,
            () if any(Role::Fault) => Role::Fault,
            () if all(Role::Master) => Role::Master,
            () if all(Role::Stopped) => Role::Stopped,
            () => Role::Backup,
        }
    }

    /// A member stands so now, and was last told to be of this role. Drain
    /// [`SyncGroup::poll_output`] afterwards.
    pub fn handle(&mut self, id: RouterId, standing: Standing, told_role: Role) {
        let Some(member) = self.members.iter_mut().find(|member| member.id == id) else {
            return;
        };
        let before = std::mem::replace(&mut member.standing, standing);
        member.told_role = told_role;
        if before != standing {
            self.share_fault();
            if before == Standing::Master && standing == Standing::Waiting {
                self.order_all(Standing::Master, GroupOrder::Demote);
            }
            self.promote_if_all_can();
        }
        self.tell();
    }

    /// A member that is master heard a rival: traffic of all may have been drawn away.
    pub fn handle_rival(&mut self, id: RouterId) {
        for member in self.members.iter().filter(|member| member.id != id) {
            let (member, order) = (member.id, GroupOrder::Announce);
            self.outputs.push_back(GroupOutput::Order { member, order });
        }
    }

    /// The next thing to do, or `None` when all is said.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<GroupOutput> {
        self.outputs.pop_front()
    }

    fn share_fault(&mut self) {
        let unable = |member: &Member| member.standing == Standing::Unable;
        let unable_count = self.members.iter().filter(|member| unable(member)).count();
        for member in &mut self.members {
            let hold = unable_count > usize::from(unable(member));
            if std::mem::replace(&mut member.held_in_fault, hold) != hold {
                let order = if hold {
                    GroupOrder::Fault
                } else {
                    GroupOrder::FaultCleared
                };
                self.outputs.push_back(GroupOutput::Order {
                    member: member.id,
                    order,
                });
            }
        }
    }

    fn promote_if_all_can(&mut self) {
        let can =
            |member: &Member| matches!(member.standing, Standing::Claiming | Standing::Master);
        if self.members.iter().all(can) {
            self.order_all(Standing::Claiming, GroupOrder::Promote);
        }
    }

    fn order_all(&mut self, standing: Standing, order: GroupOrder) {
        for member in self
            .members
            .iter()
            .filter(|member| member.standing == standing)
        {
            self.outputs.push_back(GroupOutput::Order {
                member: member.id,
                order,
            });
        }
    }

    fn tell(&mut self) {
        let to = self.role();
        let from = std::mem::replace(&mut self.told, to);
        if from != to {
            self.outputs
                .push_back(GroupOutput::RoleChanged { from, to });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: RouterId = RouterId::new(1);
    const B: RouterId = RouterId::new(2);

    fn outputs(group: &mut SyncGroup) -> Vec<GroupOutput> {
        std::iter::from_fn(|| group.poll_output()).collect()
    }

    fn order(member: RouterId, order: GroupOrder) -> GroupOutput {
        GroupOutput::Order { member, order }
    }

    fn group_of_masters() -> SyncGroup {
        let mut group = SyncGroup::new([A, B]);
        for id in [A, B] {
            group.handle(id, Standing::Master, Role::Master);
        }
        drop(outputs(&mut group));
        group
    }

    #[test]
    fn row_2_6_nobody_is_promoted_before_all_would_be_master() {
        let mut group = SyncGroup::new([A, B]);
        group.handle(A, Standing::Claiming, Role::Backup);
        group.handle(B, Standing::Waiting, Role::Backup);
        assert_eq!(
            outputs(&mut group),
            [GroupOutput::RoleChanged {
                from: Role::Init,
                to: Role::Backup
            }]
        );
        group.handle(B, Standing::Claiming, Role::Backup);
        let promoted = [order(A, GroupOrder::Promote), order(B, GroupOrder::Promote)];
        assert_eq!(outputs(&mut group), promoted);
    }

    #[test]
    fn row_2_6_a_member_that_yields_takes_the_others_along() {
        let mut group = group_of_masters();
        group.handle(A, Standing::Waiting, Role::Backup);
        let role = GroupOutput::RoleChanged {
            from: Role::Master,
            to: Role::Backup,
        };
        assert_eq!(outputs(&mut group), [order(B, GroupOrder::Demote), role]);
    }

    #[test]
    fn row_2_6_a_fault_is_everybodys_until_the_last_one_is_gone() {
        let mut group = group_of_masters();
        group.handle(A, Standing::Unable, Role::Fault);
        let role = GroupOutput::RoleChanged {
            from: Role::Master,
            to: Role::Fault,
        };
        assert_eq!(outputs(&mut group), [order(B, GroupOrder::Fault), role]);

        group.handle(B, Standing::Unable, Role::Fault);
        assert_eq!(outputs(&mut group), [order(A, GroupOrder::Fault)]);

        group.handle(A, Standing::Held, Role::Fault);
        assert_eq!(outputs(&mut group), [order(B, GroupOrder::FaultCleared)]);

        group.handle(B, Standing::Waiting, Role::Backup);
        assert_eq!(outputs(&mut group), [order(A, GroupOrder::FaultCleared)]);
    }

    #[test]
    fn row_2_6_the_group_is_master_when_the_last_member_holds_its_addresses() {
        let mut group = SyncGroup::new([A, B]);
        group.handle(A, Standing::Master, Role::Backup);
        group.handle(B, Standing::Master, Role::Backup);
        group.handle(A, Standing::Master, Role::Master);
        drop(outputs(&mut group));
        group.handle(B, Standing::Master, Role::Master);
        let role = GroupOutput::RoleChanged {
            from: Role::Backup,
            to: Role::Master,
        };
        assert_eq!(outputs(&mut group), [role]);
    }

    #[test]
    fn a_rival_of_one_makes_the_others_announce() {
        let mut group = group_of_masters();
        group.handle_rival(A);
        assert_eq!(outputs(&mut group), [order(B, GroupOrder::Announce)]);
    }
}
