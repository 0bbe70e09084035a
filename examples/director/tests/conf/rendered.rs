//! Diagnostics as people and programs see them.

use director::conf::render;
use serde_json::Value;

use crate::support::{PATH, instance, loaded};

#[track_caller]
fn rendered(text: &str, expected: &str) {
    let loaded = loaded(text);
    let rendered = render::text(&loaded.diagnostics, &loaded.sources, false);
    assert_eq!(rendered.trim_end(), expected.trim(), "\n{rendered}");
}

#[test]
fn a_misspelt_keyword() {
    rendered(
        &instance("virtual_ipadress { 1.2.3.4 }"),
        "
error[unknown-keyword]: `virtual_ipadress` is not a keyword of `vrrp_instance`
 --> /etc/keepalived/keepalived.conf:5:1
  |
5 | virtual_ipadress { 1.2.3.4 }
  | ^^^^^^^^^^^^^^^^
  |
  = help: did you mean `virtual_ipaddress`?",
    );
}

#[test]
fn a_value_that_comes_from_a_definition() {
    rendered(
        "$P=300\nvrrp_instance V {\ninterface e\nvirtual_router_id 1\n\
         virtual_ipaddress { 1.2.3.4 }\npriority $P\n}\n",
        "
error[wrong-value]: `300` is not a priority: expected a whole number from 1 to 255
 --> /etc/keepalived/keepalived.conf:1:4
  |
1 | $P=300
  |    ^^^
  |
 ::: /etc/keepalived/keepalived.conf:6:10
  |
6 | priority $P
  |          -- in this use of `$P`",
    );
}

#[test]
fn a_missing_brace_is_shown_where_it_opens_and_where_it_is_missing() {
    rendered(
        "vrrp_instance V {\n  interface e\n  virtual_router_id 1\n  virtual_ipaddress {\n    \
         1.2.3.4\n  priority 7\n}\n",
        "
error[missing-brace]: the block `virtual_ipaddress` has no `}`
 --> /etc/keepalived/keepalived.conf:4:3
  |
4 |   virtual_ipaddress {
  |   ^^^^^^^^^^^^^^^^^
  |
 ::: /etc/keepalived/keepalived.conf:6:3
  |
6 |   priority 7
  |   -------- `priority` belongs to `vrrp_instance`: the `}` is missing before it",
    );
}

#[test]
fn characters_of_two_columns_do_not_move_the_mark() {
    rendered(
        &instance("notify_master /优先级 a b c"),
        "
error[unexpected-word]: `notify_master` takes nothing more
 --> /etc/keepalived/keepalived.conf:5:24
  |
5 | notify_master /优先级 a b c
  |                           ^
  |
  = help: keepalived drops such words silently; remove them, or quote what belongs together",
    );
}

#[test]
fn a_mistake_in_a_loop_is_shown_once_with_the_turn() {
    rendered(
        "~SEQ(N,1,3) global_defs { router_idd ${N} }\n",
        "
error[unknown-keyword]: `router_idd` is not a keyword of `global_defs`
 --> /etc/keepalived/keepalived.conf:1:27
  |
1 | ~SEQ(N,1,3) global_defs { router_idd ${N} }
  |                           ^^^^^^^^^^
  |
 ::: /etc/keepalived/keepalived.conf:1:1
  |
1 | ~SEQ(N,1,3) global_defs { router_idd ${N} }
  | ----------- in the turn `N=1` of this loop
  |
  = help: did you mean `router_id`?",
    );
}

#[test]
fn json_has_the_documented_fields() {
    let loaded = loaded(&instance("priority 1\npriority 300"));
    let json = render::json(PATH, &loaded.diagnostics, &loaded.sources).unwrap();
    assert!(!json.contains('\n'));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "version": 1,
            "file": PATH,
            "errors": 1,
            "warnings": 1,
            "diagnostics": [
                {
                    "severity": "warning",
                    "code": "repeated-keyword",
                    "message": "`priority` is set again; the last one counts",
                    "file": PATH, "line": 6, "column": 1, "end_line": 6, "end_column": 9,
                    "help": "keep one of them",
                    "notes": [{
                        "message": "first set here",
                        "file": PATH, "line": 5, "column": 1, "end_line": 5, "end_column": 9,
                    }],
                    "expansions": [],
                },
                {
                    "severity": "error",
                    "code": "wrong-value",
                    "message": "`300` is not a priority: expected a whole number from 1 to 255",
                    "file": PATH, "line": 6, "column": 10, "end_line": 6, "end_column": 13,
                    "help": null,
                    "notes": [],
                    "expansions": [],
                },
            ],
        })
    );
}
