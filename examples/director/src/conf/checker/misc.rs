//! `MISC_CHECK`.

use std::time::Duration;

use health::Counted;

use super::{Common, Target, not_yet};
use crate::conf::{
    context::Context,
    diagnostic::{Code, Diagnostic},
    keywords::Block,
    model::{Check, CheckKind, MiscCheck},
    script::{script_line, user_line},
    tree::Item,
    values::whole,
    virtual_server::TimingDefaults,
};

/// A day.
const LONGEST: u32 = 86_400;

pub(super) fn read(
    context: &mut Context<'_>,
    target: &Target<'_>,
    block: Item<'_>,
    keywords: &'static Block,
) -> Option<Check> {
    let mut path = None;
    let mut timeout = None;
    let mut dynamic = false;
    let mut user = None;
    let common = Common::read(
        context,
        target,
        block,
        keywords,
        |context, keyword, item| match keyword {
            "misc_path" => path = Some(script_line(context, item)),
            "misc_timeout" => {
                let parse = whole("a timeout in seconds", 0..=LONGEST);
                timeout = context.one(item, "seconds", parse);
            }
            "misc_dynamic" => dynamic = context.flag(item),
            "user" => user = user_line(context, item),
            _ => not_yet(context, keyword, item),
        },
    );
    let Some(path) = path else {
        context.report(
            Diagnostic::new(
                Code::MissingKeyword,
                block.span(),
                "`MISC_CHECK` has no `misc_path`: keepalived goes on without the check",
            )
            .help("write `misc_path \"/path/of/the/program and its arguments\"`"),
        );
        return None;
    };
    let kind = CheckKind::Misc(MiscCheck {
        argv: path?.argv,
        user: user.map(|user| (user.user, user.group)),
        dynamic,
    });
    let defaults = TimingDefaults {
        retry: 0,
        ..super::DEFAULTS
    };
    // As with keepalived 0 is the default.
    let timeout = timeout.filter(|seconds| *seconds > 0);
    let timeout = timeout.map(|seconds| Duration::from_secs(seconds.into()));
    common.check(target, kind, defaults, |config| {
        config.timeout = timeout.unwrap_or(target.misc_timeout);
        config.counted = Counted::FromStart;
    })
}
