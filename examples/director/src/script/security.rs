//! Who may run what: `script_user`, `user` of a script, `enable_script_security`.
//!
//! The rules are keepalived's, each observed with 2.2.7:
//! * A script runs as its own `user`, else as `script_user`, else as `keepalived_script`, else as
//!   we do; with `enable_script_security` that last step is refused: root must be asked for.
//! * With `enable_script_security` a script does not run with root's rights (user or group root,
//!   or a set-id file of root) if a component of its path does not belong to root, or can be
//!   written by others or by a group other than root's; a directory with the sticky bit may be.
//!   Without it such a script runs, and [`Advice::Insecure`] says what is wrong.
//!
//! And stricter than keepalived:
//! * keepalived looks once, when it reads its configuration. Here every run is preceded by a look,
//!   so that a path that becomes unsafe later is noticed.
//! * A symbolic link and the directories it stands in are components too. keepalived replaces a
//!   link by its target when it starts; we run the path as configured, so `$0` is what the
//!   operator wrote.
//! * A path that is neither absolute nor a bare name is refused.
//! * A directory or a device is refused whoever runs it; keepalived passes such a check.

mod account;
mod refusal;
mod system;

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;

pub use self::account::{Account, DEFAULT_USER};
pub use self::refusal::{Advice, Refusal};
pub use self::system::{Inode, Kind, Machine, Own, System};
use crate::script::command::{Command, ScriptUser};

/// As many symbolic links as Linux follows (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// The rules that hold for all scripts of a configuration.
#[derive(Clone)]
pub struct Policy {
    /// `enable_script_security`.
    enforce: bool,
    /// `script_user` of `global_defs`.
    script_user: Option<ScriptUser>,
    /// Where a name without a slash is searched.
    path: OsString,
    system: Arc<dyn System>,
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy")
            .field("enforce", &self.enforce)
            .field("script_user", &self.script_user)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// A command that may run now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Permit {
    /// The absolute path to execute.
    pub program: PathBuf,
    /// Whose rights it gets.
    pub account: Account,
    /// What should be known about it.
    pub advice: Vec<Advice>,
}

impl Policy {
    /// The rules of a configuration on this machine. `path` is the value of `PATH`.
    #[must_use]
    pub fn new(enforce: bool, script_user: Option<ScriptUser>, path: OsString) -> Self {
        Self::on(Arc::new(Machine), enforce, script_user, path)
    }

    /// The rules on another system.
    #[must_use]
    pub fn on(
        system: Arc<dyn System>,
        enforce: bool,
        script_user: Option<ScriptUser>,
        path: OsString,
    ) -> Self {
        Self {
            enforce,
            script_user,
            path,
            system,
        }
    }

    /// Finds the program, the account, and whether the one may run as the other. Blocks on the
    /// file system and the account database.
    ///
    /// # Errors
    /// A [`Refusal`] says which component is at fault and what to do.
    pub fn permit(&self, command: &Command) -> Result<Permit, Refusal> {
        let account = self.account(command)?;
        let mut advice = Vec::new();
        let program = if command.program.starts_with('/') {
            PathBuf::from(&command.program)
        } else if command.program.contains('/') || command.program.is_empty() {
            return Err(Refusal::Relative {
                program: command.program.clone(),
            });
        } else {
            let path = self.search(&command.program, &account)?;
            advice.push(Advice::FoundInPath {
                name: command.program.clone(),
                path: path.clone(),
            });
            path
        };
        let walk = Walk::along(&*self.system, &program)?;
        let (end, file) = walk.end(&program)?;
        if !account.may_execute(&file) {
            let Inode { mode, uid, gid, .. } = file;
            return Err(Refusal::NotExecutable {
                path: end,
                user: account.name,
                mode,
                uid,
                gid,
            });
        }
        if (account.is_root() || is_set_id_root(&file))
            && let Err(unsafe_part) = walk.only_root_may_change()
        {
            if self.enforce {
                return Err(unsafe_part);
            }
            advice.push(Advice::Insecure(unsafe_part));
        }
        Ok(Permit {
            program,
            account,
            advice,
        })
    }

    /// For an `execve` that was refused with `EACCES`: the directory on the way that this account
    /// may not pass, if the permission bits tell.
    #[must_use]
    pub fn impassable(&self, permit: &Permit) -> Option<PathBuf> {
        let walk = Walk::along(&*self.system, &permit.program).ok()?;
        let mut parts = walk.parts.into_iter();
        parts
            .find(|(_, inode)| inode.kind == Kind::Directory && !permit.account.may_execute(inode))
            .map(|(path, _)| path)
    }

    fn account(&self, command: &Command) -> Result<Account, Refusal> {
        match command.user.as_ref().or(self.script_user.as_ref()) {
            Some(user) => Account::named(&*self.system, user),
            None => Account::default_for(&*self.system, self.enforce),
        }
    }

    fn search(&self, name: &str, account: &Account) -> Result<PathBuf, Refusal> {
        let mut not_executable = None;
        for directory in std::env::split_paths(&self.path).filter(|path| path.is_absolute()) {
            let candidate = directory.join(name);
            let Ok(walk) = Walk::along(&*self.system, &candidate) else {
                continue;
            };
            match walk.end(&candidate) {
                Ok((_, file)) if account.may_execute(&file) => return Ok(candidate),
                Ok(_) => not_executable = not_executable.or(Some(candidate)),
                Err(_) => {}
            }
        }
        Err(Refusal::NotInPath {
            name: name.to_owned(),
            searched: self.path.to_string_lossy().into_owned(),
            user: account.name.clone(),
            not_executable,
        })
    }
}

/// Every directory, link and file that takes part in resolving a path, in order.
struct Walk {
    parts: Vec<(PathBuf, Inode)>,
}

impl Walk {
    fn along(system: &dyn System, path: &Path) -> Result<Self, Refusal> {
        let mut walk = Self { parts: Vec::new() };
        let mut ahead: VecDeque<OsString> = names(path).collect();
        let mut here = PathBuf::from("/");
        walk.parts
            .push((here.clone(), Self::look(system, &here, path)?));
        let mut links = 0;
        while let Some(name) = ahead.pop_front() {
            if name == ".." {
                here.pop();
                continue;
            }
            let next = here.join(&name);
            let inode = Self::look(system, &next, path)?;
            walk.parts.push((next.clone(), inode));
            match inode.kind {
                Kind::Link => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(Refusal::TooManyLinks {
                            path: path.into(),
                            most: MOST_LINKS,
                        });
                    }
                    let target = system
                        .read_link(&next)
                        .map_err(|error| unreadable(&next, &error))?;
                    if target.is_absolute() {
                        here = PathBuf::from("/");
                    }
                    for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
                        ahead.push_front(name);
                    }
                }
                Kind::Directory => here = next,
                Kind::File | Kind::Other if ahead.is_empty() => {}
                Kind::File | Kind::Other => {
                    return Err(Refusal::NotADirectory {
                        component: next,
                        path: path.into(),
                    });
                }
            }
        }
        Ok(walk)
    }

    fn look(system: &dyn System, component: &Path, path: &Path) -> Result<Inode, Refusal> {
        system.inode(component).map_err(|error| {
            let component = component.to_owned();
            match account::errno_of(&error) == Errno::ENOENT {
                true => Refusal::Missing {
                    component,
                    path: path.to_owned(),
                },
                false => unreadable(&component, &error),
            }
        })
    }

    /// Where the path leads, if that is a file.
    fn end(&self, path: &Path) -> Result<(PathBuf, Inode), Refusal> {
        match self.parts.last() {
            Some((end, inode)) if inode.kind == Kind::File => Ok((end.clone(), *inode)),
            Some((end, _)) => Err(Refusal::NotAFile { path: end.clone() }),
            None => Err(Refusal::NotAFile { path: path.into() }),
        }
    }

    fn only_root_may_change(&self) -> Result<(), Refusal> {
        for (component, inode) in &self.parts {
            let component = || component.clone();
            let Inode {
                kind,
                mode,
                uid,
                gid,
            } = *inode;
            if uid != 0 {
                return Err(Refusal::NotOwnedByRoot {
                    component: component(),
                    owner: uid,
                });
            }
            // A link's own bits mean nothing, and in a sticky directory only the owner of a
            // file, who is looked at as the next component, can put another in its place.
            if kind == Kind::Link || (kind == Kind::Directory && mode & 0o1000 != 0) {
                continue;
            }
            if mode & 0o002 != 0 {
                return Err(Refusal::WritableByAll {
                    component: component(),
                    mode,
                });
            }
            if mode & 0o020 != 0 && gid != 0 {
                return Err(Refusal::WritableByGroup {
                    component: component(),
                    group: gid,
                    mode,
                });
            }
        }
        Ok(())
    }
}

fn names(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsStr::new("..").to_owned()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

fn unreadable(component: &Path, error: &std::io::Error) -> Refusal {
    Refusal::Unreadable {
        component: component.into(),
        errno: account::errno_of(error),
    }
}

const fn is_set_id_root(file: &Inode) -> bool {
    (file.uid == 0 && file.mode & 0o4000 != 0) || (file.gid == 0 && file.mode & 0o2000 != 0)
}

#[cfg(test)]
#[path = "security/tests.rs"]
mod tests;
