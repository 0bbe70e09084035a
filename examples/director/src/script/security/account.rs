//! Who a script runs as.

use std::io;

use nix::errno::Errno;

use super::refusal::Refusal;
use super::system::{Own, System};
use crate::script::command::ScriptUser;

/// keepalived's default script user, if it exists.
pub const DEFAULT_USER: &str = "keepalived_script";

/// Whose rights a script has.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Account {
    /// The user's name, or its number where it is our own.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Whether it is another identity than this process has.
    pub switches: bool,
}

impl Account {
    /// The account of `user` with the groups it has on this machine.
    ///
    /// # Errors
    /// [`Refusal::UnknownUser`], [`Refusal::UnknownGroup`], [`Refusal::Accounts`].
    pub fn named(system: &dyn System, user: &ScriptUser) -> Result<Self, Refusal> {
        Self::find(system, user)?.ok_or_else(|| Refusal::UnknownUser {
            user: user.user.clone(),
        })
    }

    /// The account of a script without a user of its own and without `script_user`:
    /// `keepalived_script` if there is one, else our own.
    ///
    /// # Errors
    /// [`Refusal::NoScriptUser`] where `enforce` would mean to fall back to our own identity: as
    /// keepalived, which removes such scripts. [`Refusal::Accounts`].
    pub fn default_for(system: &dyn System, enforce: bool) -> Result<Self, Refusal> {
        match Self::find(system, &ScriptUser::new(DEFAULT_USER))? {
            Some(account) => Ok(account),
            None if enforce => Err(Refusal::NoScriptUser),
            None => Ok(Self::own(system)),
        }
    }

    fn own(system: &dyn System) -> Self {
        let Own { uid, gid, groups } = system.own();
        Self {
            name: uid.to_string(),
            uid,
            gid,
            groups,
            switches: false,
        }
    }

    fn find(system: &dyn System, user: &ScriptUser) -> Result<Option<Self>, Refusal> {
        let failed = |what: &str| {
            let what = what.to_owned();
            move |error: io::Error| Refusal::Accounts {
                what,
                errno: errno_of(&error),
            }
        };
        let Some((uid, primary)) = system.user(&user.user).map_err(failed(&user.user))? else {
            return Ok(None);
        };
        let gid = match &user.group {
            None => primary,
            Some(group) => system.group(group).map_err(failed(group))?.ok_or_else(|| {
                Refusal::UnknownGroup {
                    group: group.clone(),
                }
            })?,
        };
        let own = system.own();
        let switches = (uid, gid) != (own.uid, own.gid);
        let groups = match switches {
            true => system
                .groups_of(&user.user, gid)
                .map_err(failed(&user.user))?,
            false => own.groups,
        };
        Ok(Some(Self {
            name: user.user.clone(),
            uid,
            gid,
            groups,
            switches,
        }))
    }

    /// Whether a script of this account has rights of root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.uid == 0 || self.is_in_group(0)
    }

    /// Whether the permission bits let this account execute a file (keepalived judges by them
    /// too: access control lists are not looked at).
    #[must_use]
    pub fn may_execute(&self, file: &super::system::Inode) -> bool {
        let bits = match () {
            () if self.uid == 0 => 0o111,
            () if self.uid == file.uid => 0o100,
            () if self.is_in_group(file.gid) => 0o010,
            () => 0o001,
        };
        file.mode & bits != 0
    }

    fn is_in_group(&self, gid: u32) -> bool {
        self.gid == gid || self.groups.contains(&gid)
    }
}

pub(super) fn errno_of(error: &io::Error) -> Errno {
    error
        .raw_os_error()
        .map_or(Errno::UnknownErrno, Errno::from_raw)
}
