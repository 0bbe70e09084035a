//! FIFOs that are told of events.

use director::conf::{
    Code::{self, Conflict, MissingValue, Unused, WrongValue},
    model::FifoAbout,
};

use crate::{broken::expect, support::good};

fn global(lines: &str) -> String {
    format!("global_defs {{\n{lines}\n}}\n")
}

#[test]
fn each_has_what_it_is_told_of_a_user_and_a_script() {
    let config = good(&global(
        "lvs_notify_fifo /run/lvs\nnotify_fifo_script \"/bin/read a\" nobody\n\
         notify_fifo /run/all www-data adm",
    ));
    let [all, lvs] = config.global.fifos.as_slice() else {
        panic!("{:?}", config.global.fifos);
    };
    assert_eq!((all.about, &*all.path), (FifoAbout::Everything, "/run/all"));
    let owner = all.owner.as_ref().unwrap();
    assert_eq!(
        (&*owner.user, owner.group.as_deref()),
        ("www-data", Some("adm"))
    );
    let script = all.script.as_ref().unwrap();
    assert_eq!(script.argv, ["/bin/read", "a"]);
    assert_eq!(script.user.as_ref().unwrap().user, "nobody");
    assert_eq!((lvs.about, &*lvs.path), (FifoAbout::Services, "/run/lvs"));
    assert_eq!((&lvs.owner, &lvs.script), (&None, &None));
    let vrrp = good(&global("vrrp_notify_fifo /run/vrrp")).global.fifos;
    assert_eq!(vrrp[0].about, FifoAbout::Roles);
}

#[test]
fn one_that_is_wrong_is_refused() {
    let cases: [(&[Code], &str); 6] = [
        (&[MissingValue], "«notify_fifo"),
        (&[WrongValue], "notify_fifo «relative"),
        (&[MissingValue], "notify_fifo /x\n«notify_fifo_script"),
        (&[Conflict], "notify_fifo /x\nlvs_notify_fifo «/x"),
        (&[Unused], "«vrrp_notify_fifo_script /bin/read"),
        // One mistake is told once.
        (
            &[WrongValue],
            "notify_fifo «relative\nnotify_fifo_script /bin/read",
        ),
    ];
    for (codes, marked) in cases {
        expect(codes, &global(marked));
    }
}
