//! A little of what `data_plane soak` does for long.

use std::process::Command;

#[test]
fn nothing_is_left_of_short_connections_beside_idle_ones() {
    let output = Command::new(env!("CARGO_BIN_EXE_data_plane"))
        .args(["soak", "--connections", "3000", "--idle", "100"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:#?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("clients: 3500 answered 0 refused 0 broken"),
        "{text}"
    );
}

#[test]
fn more_idle_connections_than_descriptors_are_refused_with_what_it_takes() {
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 1000; exec \"$0\" soak --idle 500"])
        .arg(env!("CARGO_BIN_EXE_data_plane"))
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("raise the limit (ulimit -n 5608)"), "{text}");
}
