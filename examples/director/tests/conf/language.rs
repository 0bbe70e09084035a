//! The language: what the lines of a file become, whatever they mean.

use std::{io, path::Path};

use director::conf::{Code, Environment, MemoryEnvironment, Severity, load, parse};

use crate::support::{PATH, options, outline, said};

fn read(text: &str) -> String {
    outline(&MemoryEnvironment::with_file(PATH, text))
}

#[test]
fn braces_may_stand_on_the_next_line_or_all_on_one() {
    assert_eq!(read("a b\n\n# x\n{\nc\n}\n"), "a b {c}");
    assert_eq!(read("a b { c d }\n"), "a b {c d}");
    assert_eq!(read("a{ b c{ d } e }"), "a {b c {d}; e}");
    assert_eq!(read("a {\n} b"), "a {}; b");
}

#[test]
fn comments_start_anywhere_but_in_double_quotes() {
    assert_eq!(read("! a\n# b\nc d # e\nf!g\n"), "c d; f");
    assert_eq!(read("a \"# ! b\" c # d"), "a # ! b c");
    assert_eq!(read(r"a \# \! b"), "a # ! b");
}

#[test]
fn files_from_other_systems_read_the_same() {
    assert_eq!(read("\u{feff}a b\r\n\r\n{\r\nc\r\n}\r\n"), "a b {c}");
    let gbk = b"a b # \xc5\xe4\xd6\xc3\nc d\n".to_vec();
    assert_eq!(
        outline(&MemoryEnvironment::with_file(PATH, gbk)),
        "a b; c d"
    );
}

#[test]
fn conditional_lines_are_for_one_host_or_for_all_others() {
    assert_eq!(
        read("@here a 1\n@there a 2\n@^here a 3\n@^there a 4\n"),
        "a 1; a 4"
    );
    assert_eq!(read("@here a {\n b\n@here }\n"), "a {b}");
    let mut machine = MemoryEnvironment::with_file(PATH, "@node1 a\n@node2 b\n");
    machine.host_name = "node2.example".to_owned();
    let mut by_host_name = options();
    by_host_name.config_id = None;
    let parsed = parse(PATH, &machine, &by_host_name).unwrap();
    assert_eq!(crate::support::outline_of(&parsed.tree), "b");
}

#[test]
fn definitions_are_put_in_late_and_in_one_another() {
    let text = "$BASE=10.2.${SUB}\n$SUB=0\na ${BASE}.100/32\n$SUB=10\na ${BASE}.100/32\n";
    assert_eq!(read(text), "a 10.2.0.100/32; a 10.2.10.100/32");
    assert_eq!(read("$A= x y  \nb $A c\n$A=\nb $A c"), "b x y c; b c");
    assert_eq!(read("$A=a b {\n$A\nc }"), "a b {c}");
    assert_eq!(read("$A=\"x y\"\nb $A"), "b x y");
}

#[test]
fn what_nothing_defines_stays_as_it_is() {
    assert_eq!(read("a \"$B ${C} $D/24\""), "a $B ${C} $D/24");
}

#[test]
fn conditions_and_definitions_work_together() {
    assert_eq!(read("@here $P=240\n@there $P=200\nb $P"), "b 240");
    assert_eq!(read("$IF=@here\n$IF b 1\n$IF=@there\n$IF b 2"), "b 1");
}

#[test]
fn a_definition_of_several_lines_is_read_line_by_line() {
    let text = "$I= \\\nv ${N} { \\\n  @here p 1 \\\n  @there p 2 \\\n  q ${N} \\\n}\n\
                $N=0\n$I\n$N=1\n$I\n";
    assert_eq!(read(text), "v 0 {p 1; q 0}; v 1 {p 1; q 1}");
    let nested = "$R= \\\nr ${S}.${N}\n$V= \\\nv ${S} { \\\n$N=1 \\\n$R \\\n$N=2 \\\n$R \\\n}\n\
                  $S=7\n$V\n";
    assert_eq!(read(nested), "v 7 {r 7.1; r 7.2}");
    assert_eq!(read("$X= \\\n a \\\n\n b\n$X\n"), "b; a");
    assert_eq!(read("@there $X= \\\n a\nb\n"), "b");
}

#[test]
fn built_in_names_come_from_the_machine() {
    let mut machine = MemoryEnvironment::with_file(
        PATH,
        "a ${_PWD} ${_INSTANCE} ${_HASH} ${_BANG} ${_ENV HOME} ${_RANDOM 5 5}",
    );
    machine
        .variables
        .insert("HOME".to_owned(), "/root".to_owned());
    assert_eq!(outline(&machine), "a /etc/keepalived here # ! /root 5");
}

#[test]
fn a_random_seed_makes_random_numbers_repeat() {
    let text = |seed| format!("random_seed {seed}\na ${{_RANDOM}} ${{_RANDOM}} ${{_RANDOM 1 6}}");
    assert_eq!(read(&text(7)), read(&text(7)));
    assert_ne!(read(&text(7)), read(&text(8)));
}

#[test]
fn loops_read_the_rest_of_their_line_again_and_again() {
    assert_eq!(
        read("~SEQ(I,0,3) a 10.0.${I}.1"),
        "a 10.0.0.1; a 10.0.1.1; a 10.0.2.1; a 10.0.3.1"
    );
    assert_eq!(
        read("~SEQx(I,144,16,192) a :$I"),
        "a :90; a :a0; a :b0; a :c0"
    );
    assert_eq!(read("$MAX=2\n~SEQ(I,$MAX) a $I"), "a 1; a 2");
    assert_eq!(
        read("~LST({A, B}, {10,1},{20,4}) ~SEQ(C,168,2,170) a ${C}.${A}.${B}"),
        "a 168.10.1; a 170.10.1; a 168.20.4; a 170.20.4"
    );
    assert_eq!(read("~SEQ(I,1,2) @here a $I"), "a 1; a 2");
    assert_eq!(read("@there ~SEQ(I,1,2) a $I\nb"), "b");
    assert_eq!(read("$S=~SEQ(I,1,2) a $I\n$S"), "a 1; a 2");
}

#[test]
fn a_loop_repeats_a_definition_of_several_lines() {
    let text = "$V= \\\n a $I { \\\n b ${I}$J \\\n }\n~SEQ(I,1,2) ~SEQ(J,8,9) $V\n";
    assert_eq!(read(text), "a 1 {b 18}; a 1 {b 19}; a 2 {b 28}; a 2 {b 29}");
}

#[test]
fn many_instances_come_of_a_few_lines() {
    let text = "$VI= \\\nvrrp_instance v.${N}.${ID} { \\\n interface bond${N} \\\n \
                virtual_router_id ${ID} \\\n virtual_ipaddress { \\\n 10.0.${N}.${ID}/24 \\\n \
                } \\\n}\n~SEQ(N,0,3) ~SEQ(ID,1,254) $VI\n";
    let machine = MemoryEnvironment::with_file(PATH, text);
    let loaded = load(PATH, &machine, &options()).unwrap();
    assert_eq!(said(&loaded.diagnostics, &loaded.sources), []);
    let instances = loaded.config.unwrap().instances;
    assert_eq!(instances.len(), 4 * 254);
    assert_eq!(&*instances[4 * 254 - 1].router.name, "v.3.254");
}

#[test]
fn includes_are_read_in_place_and_relative_to_their_file() {
    let machine = MemoryEnvironment::with_file(PATH, "a\ninclude conf.d/*.conf\nd\n")
        .and_file(
            "/etc/keepalived/conf.d/1.conf",
            "b ${_PWD}\ninclude sub/x\n",
        )
        .and_file("/etc/keepalived/conf.d/2.conf", "c {\n")
        .and_file("/etc/keepalived/conf.d/3.conf", "}\n")
        .and_file("/etc/keepalived/conf.d/sub/x", "x ${_PWD}\n");
    assert_eq!(
        outline(&machine),
        "a; b /etc/keepalived/conf.d; x /etc/keepalived/conf.d/sub; c {}; d"
    );
}

#[test]
fn includes_take_braces_and_quotes() {
    let machine = MemoryEnvironment::with_file(PATH, "include \"{b,a}.conf\" # both\n")
        .and_file("/etc/keepalived/a.conf", "a\n")
        .and_file("/etc/keepalived/b.conf", "b\n");
    assert_eq!(outline(&machine), "b; a");
}

#[test]
fn includes_take_no_definitions_and_no_conditions() {
    let machine = MemoryEnvironment::with_file(PATH, "$F=a\ninclude $F\nb\n")
        .and_file("/etc/keepalived/$F", "x\n");
    assert_eq!(outline(&machine), "x; b");
}

/// The codes said about one include line, with `a.conf` and `bad/` (no file) around.
fn include_codes(lines: &str) -> Vec<(String, Severity)> {
    let machine = MemoryEnvironment::with_file(PATH, lines)
        .and_file("/etc/keepalived/a.conf", "random_seed 1\n");
    let parsed = parse(PATH, &machine, &options()).expect("the file is there");
    let codes = parsed.diagnostics.iter();
    codes.map(|d| (d.code.to_string(), d.severity)).collect()
}

#[test]
fn each_include_keyword_asks_for_what_its_letter_says() {
    let missing = |severity| {
        let code = if severity == Severity::Error {
            "include-no-match"
        } else {
            "include-missing"
        };
        vec![(code.to_owned(), severity)]
    };
    let error = || missing(Severity::Error);
    assert_eq!(include_codes("includea a.conf"), []);
    assert_eq!(include_codes("include nope"), missing(Severity::Warning));
    assert_eq!(include_codes("include *.nope"), []);
    assert_eq!(include_codes("includer *.nope"), []);
    assert_eq!(include_codes("includem nope"), error());
    assert_eq!(include_codes("includem *.nope"), []);
    assert_eq!(include_codes("includew *.nope"), error());
    assert_eq!(include_codes("includew nope"), missing(Severity::Warning));
    assert_eq!(include_codes("include {a.conf,nope}"), []);
    assert_eq!(include_codes("includeb {a.conf,nope}"), error());
    assert_eq!(include_codes("includea *.nope"), error());
}

/// A machine with a file that may not be read.
#[derive(Debug)]
struct Forbidding(MemoryEnvironment);

impl Environment for Forbidding {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path.ends_with("secret.conf") {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.0.read(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.0.list(directory)
    }

    fn host_name(&self) -> String {
        self.0.host_name()
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.0.variable(name)
    }

    fn random_seed(&self) -> u64 {
        self.0.random_seed()
    }
}

#[test]
fn a_file_that_may_not_be_read_is_an_error_where_it_is_asked_for() {
    for (line, code) in [
        ("include secret.conf", Code::IncludeMissing),
        ("includer secret.conf", Code::IncludeUnreadable),
        ("includea secret.*", Code::IncludeUnreadable),
    ] {
        let machine = MemoryEnvironment::with_file(PATH, line);
        let machine = Forbidding(machine.and_file("/etc/keepalived/secret.conf", ""));
        let parsed = parse(PATH, &machine, &options()).unwrap();
        let column = line.find('s').unwrap() + 1;
        assert_eq!(
            said(&parsed.diagnostics, &parsed.sources),
            [(code, 1, column)]
        );
    }
}

#[test]
fn include_check_holds_from_its_line_on() {
    assert_eq!(include_codes("include *.nope\ninclude_check\n").len(), 0);
    assert_eq!(include_codes("include_check\ninclude *.nope\n").len(), 1);
    assert_eq!(
        include_codes("include_check -wildcard_match\ninclude *.nope\n").len(),
        0
    );
    assert_eq!(
        include_codes("include_check wildcard_match\ninclude *.nope\n").len(),
        1
    );
}
