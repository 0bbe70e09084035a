use super::*;

const TABLE: &str = "\
| machine | card | network | address | gateway |
| ------- | ---- | ------- | ------- | ------- |
| `a` | eth0 | front | 192.0.2.1/24, 192.0.2.2/32 | |
| | eth1 | back | 198.51.100.1/24 | |
| b-1 | eth0 | back | | 198.51.100.1 |

";

fn scene(text: &str) -> Scene {
    let mut chapter = Chapter::parse(&format!("{TABLE}{text}")).unwrap();
    chapter.scenes.remove(0)
}

fn commands(text: &str) -> Vec<Command> {
    let steps = scene(text).steps.into_iter();
    let commands = steps.map(|step| match step {
        Step::Command(command) => command,
        Step::File(file) => panic!("{file:?}"),
    });
    commands.collect()
}

/// What is wrong with a chapter that has the table, each line counted from its end.
fn mistakes(text: &str) -> Vec<(usize, String)> {
    let before = TABLE.lines().count();
    let mistakes = Chapter::parse(&format!("{TABLE}{text}")).unwrap_err();
    let relative = mistakes.into_iter().map(|it| (it.line - before, it.what));
    relative.collect()
}

#[track_caller]
fn assert_one_mistake(text: &str, line: usize, part: &str) {
    let mistakes = mistakes(text);
    let [(found, what)] = mistakes.as_slice() else {
        panic!("{mistakes:?}");
    };
    assert_eq!(*found, line, "{what}");
    assert!(what.contains(part), "{what}");
}

#[test]
fn a_table_is_a_network() {
    let cards = scene("").cards;
    let [front, back, server] = cards.as_slice() else {
        panic!("{cards:?}");
    };
    assert_eq!((&*front.machine, &*front.name), ("a", "eth0"));
    assert_eq!(front.addresses, ["192.0.2.1/24", "192.0.2.2/32"]);
    assert_eq!(front.gateway, None);
    assert_eq!((&*back.machine, &*back.network), ("a", "back"));
    assert_eq!(server.addresses, [""; 0]);
    assert_eq!(server.gateway.as_deref(), Some("198.51.100.1"));
}

#[test]
fn another_table_begins_another_network() {
    let chapter = Chapter::parse(&format!("{TABLE}{TABLE}")).unwrap();
    assert_eq!(chapter.scenes().len(), 2);
}

#[test]
fn other_tables_are_for_the_reader() {
    let chapter = Chapter::parse("| name | what |\n| - | - |\n| rr | takes turns |\n").unwrap();
    assert!(chapter.scenes().is_empty());
}

#[test]
fn a_block_has_commands_of_several_machines_and_what_they_print() {
    let commands = commands("```console\na# x -y\none\n\nb-1# z\n```\n");
    let [first, second] = commands.as_slice() else {
        panic!("{commands:?}");
    };
    assert_eq!((&*first.machine, &*first.text), ("a", "x -y"));
    assert_eq!(first.prints, ["one", ""]);
    assert_eq!(first.outcome, Outcome::Succeeds);
    assert_eq!((&*second.machine, &*second.text), ("b-1", "z"));
    assert_eq!(second.prints, [""; 0]);
}

#[test]
fn a_command_goes_on_after_its_line() {
    let commands = commands("```console\na# for i in 1 2\n> do x\n> done\n> printed\n```\n");
    assert_eq!(commands[0].text, "for i in 1 2\ndo x\ndone\nprinted");
    assert_eq!(commands[0].prints, [""; 0]);
}

#[test]
fn the_info_string_says_how_commands_end() {
    let text = "```console fails\na# x\n```\n```console until\na# y\n```\n";
    let outcomes: Vec<_> = commands(text).iter().map(|it| it.outcome).collect();
    assert_eq!(outcomes, [Outcome::Fails, Outcome::Until]);
}

#[test]
fn a_file_is_written_onto_its_machines() {
    let text = "Write\n`/etc/x.conf`:\n\n```conf a,b-1:/etc/x.conf\none {\n\n}\n```\n";
    let steps = scene(text).steps;
    let [Step::File(file)] = steps.as_slice() else {
        panic!("{steps:?}");
    };
    assert_eq!(file.machines, ["a", "b-1"]);
    assert_eq!(file.path, "/etc/x.conf");
    assert_eq!(file.content, ["one {", "", "}"]);
}

#[test]
fn a_block_that_nobody_runs_is_a_mistake() {
    assert_one_mistake("```sh\nipvsctl -C\n```\n", 1, "nobody runs such a block");
    assert_one_mistake("```\n```\n", 1, "nobody runs such a block");
    assert_one_mistake("```console always\n```\n", 1, "nobody runs such a block");
    assert_one_mistake("~~~\nipvsctl -C\n", 1, "at the start of its line");
    assert_one_mistake("  ```console\n", 1, "at the start of its line");
    assert_one_mistake("```text\na# ipvsctl -C\n```\n", 2, "outside of a `console`");
    assert_one_mistake("\na# ipvsctl -C\n", 2, "outside of a `console`");
}

#[test]
fn commands_are_those_of_a_machine() {
    assert_one_mistake("```console\nc# x\n```\n", 2, "no machine \"c\"");
    assert_one_mistake("```console\nx\n```\n", 2, "begins with `MACHINE# COMMAND`");
    let after_another = "```console\na# x\n```\n```console\ny\n```\n";
    assert_one_mistake(after_another, 5, "begins with `MACHINE# COMMAND`");
    let without = Chapter::parse("```console\na# x\n```\n").unwrap_err();
    assert!(
        without
            .iter()
            .any(|it| it.what.contains("a table of machines"))
    );
}

#[test]
fn the_reader_is_told_which_file_it_is() {
    let text = "Of `/etc/x`.\n\nNot of it.\n\n```conf a:/etc/x\n```\n";
    assert_one_mistake(text, 5, "does not name `/etc/x`");
    assert_one_mistake("`x`:\n```conf a:x\n```\n", 2, "absolute");
    assert_one_mistake("`/x`:\n```conf c:/x\n```\n", 2, "no machine \"c\"");
}

#[test]
fn what_has_no_end_is_a_mistake() {
    assert_one_mistake("\n```console\na# x\n", 2, "no end");
}

#[test]
fn a_broken_table_is_a_mistake() {
    let text = "| machine | card | network | address |\n| - | - | - | - |\n| a | b |\n";
    let mistakes = Chapter::parse(text).unwrap_err();
    assert_eq!(mistakes[0].line, 3);
}
