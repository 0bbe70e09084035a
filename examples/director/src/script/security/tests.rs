use std::collections::BTreeMap;
use std::io;

use super::*;

/// A machine in memory: paths to inodes and link targets, and a few accounts.
#[derive(Clone)]
struct Fake {
    inodes: BTreeMap<PathBuf, Inode>,
    links: BTreeMap<PathBuf, PathBuf>,
    users: BTreeMap<&'static str, (u32, u32)>,
    own: Own,
}

const ALICE: u32 = 1000;
const STAFF: u32 = 50;

impl Fake {
    fn new() -> Self {
        let users = BTreeMap::from([("root", (0, 0)), ("alice", (ALICE, ALICE))]);
        let own = Own {
            uid: 0,
            gid: 0,
            groups: vec![0],
        };
        let fake = Self {
            inodes: BTreeMap::new(),
            links: BTreeMap::new(),
            users,
            own,
        };
        fake.directory("/", 0o755)
            .directory("/etc", 0o755)
            .file("/etc/check", 0o755)
    }

    fn with(mut self, path: &str, kind: Kind, mode: u32) -> Self {
        self.inodes.insert(
            path.into(),
            Inode {
                kind,
                mode,
                uid: 0,
                gid: 0,
            },
        );
        self
    }

    fn directory(self, path: &str, mode: u32) -> Self {
        self.with(path, Kind::Directory, mode)
    }

    fn file(self, path: &str, mode: u32) -> Self {
        self.with(path, Kind::File, mode)
    }

    fn link(mut self, path: &str, target: &str) -> Self {
        self.links.insert(path.into(), target.into());
        self.with(path, Kind::Link, 0o777)
    }

    fn owned(mut self, path: &str, uid: u32, gid: u32) -> Self {
        let inode = self.inodes.get_mut(Path::new(path)).unwrap();
        (inode.uid, inode.gid) = (uid, gid);
        self
    }

    fn user(mut self, name: &'static str, uid: u32) -> Self {
        self.users.insert(name, (uid, uid));
        self
    }

    fn run_by(mut self, uid: u32) -> Self {
        self.own = Own {
            uid,
            gid: uid,
            groups: vec![uid],
        };
        self
    }

    fn permit(self, enforce: bool, command: &Command) -> Result<Permit, Refusal> {
        let path = "relative:/usr/bin:/etc".into();
        Policy::on(Arc::new(self), enforce, None, path).permit(command)
    }

    /// As root with `enable_script_security`.
    fn secure(self, program: &str) -> Result<Permit, Refusal> {
        self.permit(
            true,
            &Command::new(program).with_user(ScriptUser::new("root")),
        )
    }
}

impl System for Fake {
    fn inode(&self, path: &Path) -> io::Result<Inode> {
        self.inodes
            .get(path)
            .copied()
            .ok_or_else(|| Errno::ENOENT.into())
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        self.links
            .get(path)
            .cloned()
            .ok_or_else(|| Errno::EINVAL.into())
    }

    fn user(&self, name: &str) -> io::Result<Option<(u32, u32)>> {
        Ok(self.users.get(name).copied())
    }

    fn group(&self, name: &str) -> io::Result<Option<u32>> {
        Ok(BTreeMap::from([("root", 0), ("staff", STAFF)])
            .get(name)
            .copied())
    }

    fn groups_of(&self, _user: &str, gid: u32) -> io::Result<Vec<u32>> {
        Ok(vec![gid])
    }

    fn own(&self) -> Own {
        self.own.clone()
    }
}

fn alice() -> ScriptUser {
    ScriptUser::new("alice")
}

#[test]
fn a_script_that_only_root_can_change_runs_as_root() {
    let permit = Fake::new().secure("/etc/check").unwrap();
    assert_eq!(permit.program, Path::new("/etc/check"));
    assert_eq!(permit.account.uid, 0);
    assert_eq!(permit.advice, []);
}

#[test]
fn every_unsafe_component_is_named_with_its_remedy() {
    let table = [
        (
            Fake::new().owned("/etc/check", ALICE, 0),
            "/etc/check belongs to user id 1000",
            "chown",
        ),
        (
            Fake::new().owned("/etc", ALICE, 0),
            "/etc belongs to user id 1000",
            "chown root /etc",
        ),
        (
            Fake::new().file("/etc/check", 0o757),
            "/etc/check can be changed by any",
            "chmod o-w",
        ),
        (
            Fake::new().directory("/etc", 0o777),
            "/etc can be changed by anybody",
            "chmod o-w /etc",
        ),
        (
            Fake::new().directory("/", 0o757),
            "/ can be changed by anybody",
            "chmod o-w /,",
        ),
        (
            Fake::new().directory("/etc", 0o775).owned("/etc", 0, STAFF),
            "/etc can be changed by group id 50 (mode 0775)",
            "chmod g-w /etc",
        ),
        (
            Fake::new()
                .directory("/etc", 0o1777)
                .owned("/etc", ALICE, 0),
            "/etc belongs to user id 1000",
            "chown",
        ),
        // The sticky bit is of directories only.
        (
            Fake::new().file("/etc/check", 0o1757),
            "/etc/check can be changed by any",
            "chmod o-w",
        ),
    ];
    for (machine, fault, remedy) in table {
        let refusal = machine.clone().secure("/etc/check").unwrap_err();
        let text = refusal.to_string();
        assert!(text.contains(fault) && text.contains(remedy), "{text}");

        // Without enable_script_security it runs, and says so.
        let command = Command::new("/etc/check").with_user(ScriptUser::new("root"));
        let permit = machine.clone().permit(false, &command).unwrap();
        assert_eq!(permit.advice, [Advice::Insecure(refusal)]);

        // Whoever is not root may run it as it is.
        let command = Command::new("/etc/check").with_user(alice());
        assert_eq!(machine.permit(true, &command).unwrap().advice, []);
    }
}

#[test]
fn a_sticky_directory_and_the_group_of_root_may_be_writable() {
    for machine in [
        Fake::new().directory("/etc", 0o1777),
        Fake::new()
            .directory("/etc", 0o1775)
            .owned("/etc", 0, STAFF),
        Fake::new().directory("/etc", 0o775),
        Fake::new().file("/etc/check", 0o775),
    ] {
        assert!(machine.secure("/etc/check").is_ok());
    }
}

#[test]
fn the_group_root_and_set_id_files_of_root_are_protected_too() {
    let open = Fake::new().file("/etc/check", 0o757);
    let in_root = ScriptUser {
        user: "alice".into(),
        group: Some("root".into()),
    };
    let command = Command::new("/etc/check").with_user(in_root);
    let refusal = open.permit(true, &command).unwrap_err();
    assert!(
        matches!(refusal, Refusal::WritableByAll { .. }),
        "{refusal}"
    );

    for mode in [0o4757, 0o2757] {
        let command = Command::new("/etc/check").with_user(alice());
        let refusal = Fake::new()
            .file("/etc/check", mode)
            .permit(true, &command)
            .unwrap_err();
        assert!(
            matches!(refusal, Refusal::WritableByAll { .. }),
            "{refusal}"
        );
    }
}

#[test]
fn links_are_followed_and_every_place_they_stand_in_is_looked_at() {
    let machine = Fake::new()
        .directory("/srv", 0o755)
        .directory("/srv/open", 0o777)
        .file("/srv/open/target", 0o755)
        .link("/srv/good", "../etc/check")
        .link("/srv/twice", "/srv/good")
        .link("/srv/bad", "open/target")
        .link("/srv/open/link", "/etc/check")
        .link("/srv/loop", "loop")
        .link("/srv/dangling", "gone")
        .link("/srv/dir", "open");
    let secure = |path| machine.clone().secure(path);
    assert_eq!(secure("/srv/good").unwrap().program, Path::new("/srv/good"));
    assert!(secure("/srv/twice").is_ok());
    let open = Refusal::WritableByAll {
        component: "/srv/open".into(),
        mode: 0o777,
    };
    for path in [
        "/srv/bad",
        "/srv/open/link",
        "/srv/dir/target",
        "/srv/dir/../good",
    ] {
        let refusal = secure(path);
        assert_eq!(refusal.as_ref().err(), Some(&open), "{path}");
    }
    assert!(matches!(
        secure("/srv/loop"),
        Err(Refusal::TooManyLinks { .. })
    ));
    let text = secure("/srv/dangling").unwrap_err().to_string();
    assert_eq!(
        text,
        "/srv/gone does not exist (on the way to /srv/dangling)"
    );
    let theirs = machine.owned("/srv/good", ALICE, ALICE).secure("/srv/good");
    assert!(matches!(theirs, Err(Refusal::NotOwnedByRoot { .. })));
}

#[test]
fn what_is_not_a_program_is_refused_whoever_runs_it() {
    let machine = Fake::new()
        .with("/etc/device", Kind::Other, 0o777)
        .directory("/etc/d", 0o755);
    let refused = |program: &str| {
        let command = Command::new(program).with_user(alice());
        machine
            .clone()
            .permit(false, &command)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(refused("/etc/d"), "/etc/d is not a regular file");
    assert_eq!(refused("/"), "/ is not a regular file");
    assert_eq!(refused("/etc/device"), "/etc/device is not a regular file");
    assert_eq!(refused("/etc/no"), "/etc/no does not exist");
    assert_eq!(
        refused("/etc/no/x"),
        "/etc/no does not exist (on the way to /etc/no/x)"
    );
    assert_eq!(
        refused("/etc/check/x"),
        "/etc/check is not a directory (on the way to /etc/check/x)"
    );
    for relative in ["etc/check", "./check", ""] {
        assert!(refused(relative).contains("write it from the root directory"));
    }
}

#[test]
fn execute_permission_is_that_of_the_user_the_script_runs_as() {
    let machine = |mode, uid, gid| {
        Fake::new()
            .file("/etc/check", mode)
            .owned("/etc/check", uid, gid)
    };
    let table = [
        ("root", 0o644, 0, 0, false),
        ("root", 0o001, 0, 0, true),
        ("alice", 0o700, 0, 0, false),
        ("alice", 0o701, 0, 0, true),
        ("alice", 0o700, ALICE, 0, true),
        ("alice", 0o055, ALICE, 0, false),
        ("alice", 0o710, 0, ALICE, true),
        ("alice", 0o701, 0, ALICE, false),
    ];
    for (user, mode, uid, gid, allowed) in table {
        let command = Command::new("/etc/check").with_user(ScriptUser::new(user));
        let permit = machine(mode, uid, gid).permit(false, &command);
        assert_eq!(permit.is_ok(), allowed, "{user} {mode:04o} {uid}:{gid}");
        if let Err(refusal) = permit {
            assert!(matches!(refusal, Refusal::NotExecutable { .. }));
            assert!(
                refusal.to_string().contains("chmod a+x /etc/check"),
                "{refusal}"
            );
        }
    }
}

#[test]
fn a_bare_name_is_found_in_path_and_said_to_be() {
    let machine = Fake::new()
        .directory("/usr", 0o755)
        .directory("/usr/bin", 0o755)
        .file("/usr/bin/check", 0o644)
        .file("/usr/bin/only", 0o700);
    let find = |name: &str| {
        machine
            .clone()
            .permit(false, &Command::new(name).with_user(alice()))
    };
    let permit = find("check").unwrap();
    let path = PathBuf::from("/etc/check");
    assert_eq!(permit.program, path);
    assert_eq!(
        permit.advice,
        [Advice::FoundInPath {
            name: "check".into(),
            path
        }]
    );
    let refusal = find("only").unwrap_err().to_string();
    assert!(
        refusal.contains("/usr/bin/only is not executable for user alice"),
        "{refusal}"
    );
    let refusal = find("none").unwrap_err().to_string();
    assert!(
        refusal.contains("no executable `none` in PATH"),
        "{refusal}"
    );
}

#[test]
fn the_account_is_the_first_of_own_user_script_user_default_user_and_ourselves() {
    let account = |machine: Fake, enforce, script_user: Option<&str>, user: Option<&str>| {
        let mut command = Command::new("/etc/check");
        command.user = user.map(ScriptUser::new);
        Policy::on(
            Arc::new(machine),
            enforce,
            script_user.map(ScriptUser::new),
            "".into(),
        )
        .permit(&command)
        .map(|permit| (permit.account.uid, permit.account.switches))
    };
    let ours = || Fake::new().run_by(7);
    let with_default = || ours().user(DEFAULT_USER, 99);
    for enforce in [false, true] {
        assert_eq!(
            account(with_default(), enforce, Some("root"), Some("alice")),
            Ok((ALICE, true))
        );
        assert_eq!(
            account(with_default(), enforce, Some("root"), None),
            Ok((0, true))
        );
        assert_eq!(account(with_default(), enforce, None, None), Ok((99, true)));
        let unknown = Refusal::UnknownUser { user: "bob".into() };
        assert_eq!(account(ours(), enforce, Some("bob"), None), Err(unknown));
    }
    assert_eq!(account(ours(), false, None, None), Ok((7, false)));
    assert_eq!(
        account(ours(), true, None, None),
        Err(Refusal::NoScriptUser)
    );
    assert_eq!(
        account(ours().user("seven", 7), true, None, Some("seven")),
        Ok((7, false))
    );
}

#[test]
fn an_unknown_group_is_named() {
    let user = ScriptUser {
        user: "alice".into(),
        group: Some("frob".into()),
    };
    let refusal = Fake::new().permit(false, &Command::new("/etc/check").with_user(user));
    assert_eq!(
        refusal,
        Err(Refusal::UnknownGroup {
            group: "frob".into()
        })
    );
}

#[test]
fn a_directory_that_the_user_may_not_pass_is_found() {
    let machine = Fake::new().directory("/etc", 0o700);
    let policy = Policy::on(Arc::new(machine), false, Some(alice()), "".into());
    let permit = policy.permit(&Command::new("/etc/check")).unwrap();
    assert_eq!(policy.impassable(&permit), Some("/etc".into()));
}

#[test]
fn the_machine_itself_answers_like_the_fake() {
    let root = Machine.inode(Path::new("/")).unwrap();
    assert_eq!((root.kind, root.uid), (Kind::Directory, 0));
    assert_eq!(Machine.user("root").unwrap(), Some((0, 0)));
    assert_eq!(Machine.user("no such user").unwrap(), None);
    assert_eq!(Machine.group("no such group").unwrap(), None);
    assert_eq!(Machine.groups_of("root", 0).unwrap(), [0]);
    let policy = Policy::new(false, None, "/bin:/usr/bin".into());
    assert!(policy.permit(&Command::new("true")).is_ok());
}
