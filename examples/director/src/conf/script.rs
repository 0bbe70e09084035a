//! Scripts: `vrrp_script`, `notify*`, users.

use std::{num::NonZeroU32, time::Duration};

use vrrp::Weight;

use super::{
    context::{Args, Context},
    diagnostic::{Code, Diagnostic},
    keywords::VRRP_SCRIPT,
    lexer::split_command,
    model::{Notify, Places, Script, ScriptUser, VrrpScript},
    track::weight_line,
    tree::{Item, Word},
    values::{seconds, weight, whole},
};

/// Reads a `vrrp_script`.
pub(super) fn vrrp_script(context: &mut Context<'_>, block: Item<'_>) -> Option<VrrpScript> {
    let name = context.name(block)?;
    let mut places = Places::new(block.span());
    let mut script = None;
    let mut interval = None;
    let mut timeout = None;
    let mut weighed = (Weight::REQUIRED, false);
    let mut rise = None;
    let mut fall = None;
    let mut user = None;
    let mut init_fail = false;
    for (keyword, item) in context.keywords(&VRRP_SCRIPT, block.items()) {
        places.set(keyword, item.span());
        match keyword {
            "script" => script = Some(script_line(context, item)),
            "interval" => {
                let parse = positive(seconds("an interval", 0..=MAX_SECONDS));
                interval = context.one(item, "seconds", parse);
            }
            "timeout" => {
                let parse = positive(seconds("a timeout", 0..=MAX_SECONDS));
                timeout = context.one(item, "seconds", parse);
            }
            "weight" => weighed = weight_line(context, item, weight).unwrap_or(weighed),
            "rise" => rise = context.one(item, "a number of successes", count("successes")),
            "fall" => fall = context.one(item, "a number of failures", count("failures")),
            "user" => user = user_line(context, item),
            "init_fail" => init_fail = context.flag(item),
            _ => context.report_not_yet(&format!("`{keyword}`"), item.span()),
        }
    }
    let Some(script) = script else {
        context.report(
            Diagnostic::new(
                Code::MissingKeyword,
                block.span(),
                format!("`vrrp_script {}` has no `script`", name.text),
            )
            .help("write `script \"/path/of/the/program and its arguments\"`"),
        );
        return None;
    };
    let interval = interval.unwrap_or(Duration::from_secs(1));
    let mut script = script?;
    script.user = user.or(script.user);
    let read = VrrpScript {
        name: name.text.into(),
        script,
        interval,
        timeout: timeout.unwrap_or(interval),
        weight: weighed.0,
        reverse: weighed.1,
        rise: rise.unwrap_or(NonZeroU32::MIN),
        fall: fall.unwrap_or(NonZeroU32::MIN),
        init_fail,
        places,
    };
    check_timing(context, &read);
    Some(read)
}

/// A day; no check of a service is rarer.
const MAX_SECONDS: u64 = 86_400;

fn check_timing(context: &mut Context<'_>, script: &VrrpScript) {
    if script.timeout > script.interval {
        context.report(
            Diagnostic::new(
                Code::ScriptTiming,
                script.places.of("timeout"),
                format!(
                    "`{}` may run for {:?} but is due every {:?}: runs that are due meanwhile \
                     are skipped",
                    script.name, script.timeout, script.interval
                ),
            )
            .help("make the interval at least as long as the timeout"),
        );
    }
}

fn positive(
    parse: impl Fn(&str) -> Result<Duration, String>,
) -> impl Fn(&str) -> Result<Duration, String> {
    move |text| match parse(text)? {
        Duration::ZERO => Err(format!(
            "`{text}` is too short: expected more than 0 seconds"
        )),
        time => Ok(time),
    }
}

fn count(of: &'static str) -> impl Fn(&str) -> Result<NonZeroU32, String> {
    move |text| {
        let number = whole(&format!("a number of {of}"), 1..=1_000_000)(text)?;
        NonZeroU32::new(number).ok_or_else(|| format!("`{text}` is too few {of}"))
    }
}

/// `script COMMAND`, `misc_path COMMAND`: one word, quoted if it has arguments.
pub(super) fn script_line(context: &mut Context<'_>, item: Item<'_>) -> Option<Script> {
    let mut args = Args::of(item);
    let command = args.required(context, "a command")?;
    if let Some(extra) = args.next() {
        report_unquoted(context, item, extra);
    }
    command_of(context, command)
}

/// keepalived runs such a script without its arguments, which no user means.
fn report_unquoted(context: &mut Context<'_>, item: Item<'_>, extra: Word<'_>) {
    let line: Vec<&str> = item.args().map(|word| word.text).collect();
    context.report(
        Diagnostic::new(
            Code::UnexpectedWord,
            extra.span,
            format!("`{}` is not part of the command", extra.text),
        )
        .help(format!(
            "quote a command with its arguments: `{} \"{}\"`; keepalived runs it without them",
            item.keyword().text,
            line.join(" ")
        )),
    );
}

fn command_of(context: &mut Context<'_>, command: Word<'_>) -> Option<Script> {
    let argv = match split_command(command.text) {
        Ok(argv) => argv,
        Err(fault) => {
            context.report(fault.diagnostic(command.span));
            return None;
        }
    };
    if argv.first().is_none_or(String::is_empty) {
        context.report(
            Diagnostic::new(
                Code::WrongScript,
                command.span,
                "the command names no program",
            )
            .help("write the path of a program, in quotes if arguments follow"),
        );
        return None;
    }
    Some(Script {
        argv,
        user: None,
        span: command.span,
    })
}

/// `USER [GROUP]` from here on.
pub(super) fn user_words(context: &mut Context<'_>, mut args: Args<'_>) -> Option<ScriptUser> {
    let user = args.required(context, "a user")?;
    let group = args.next();
    args.end(context);
    Some(ScriptUser {
        user: user.text.to_owned(),
        group: group.map(|word| word.text.to_owned()),
        span: user.span,
    })
}

/// `user USER [GROUP]`, `script_user USER [GROUP]`.
pub(super) fn user_line(context: &mut Context<'_>, item: Item<'_>) -> Option<ScriptUser> {
    user_words(context, Args::of(item))
}

/// `notify_… COMMAND [USER [GROUP]]`.
pub(super) fn notify_line(context: &mut Context<'_>, item: Item<'_>) -> Option<Script> {
    let mut args = Args::of(item);
    let command = args.required(context, "a command")?;
    let user = match item.args().len() {
        0 | 1 => None,
        _ => user_words(context, args),
    };
    let script = command_of(context, command)?;
    Some(Script { user, ..script })
}

/// Takes over a `notify*` line; `false` if the keyword is none.
pub(super) fn notify(
    context: &mut Context<'_>,
    notify: &mut Notify,
    keyword: &str,
    item: Item<'_>,
) -> bool {
    let slot = match keyword {
        "notify_master" => &mut notify.master,
        "notify_backup" => &mut notify.backup,
        "notify_fault" => &mut notify.fault,
        "notify_stop" => &mut notify.stop,
        "notify_master_rx_lower_pri" => &mut notify.master_rx_lower_pri,
        "notify" => &mut notify.any,
        "notify_deleted" => {
            notify.report_deleted = true;
            if item.args().len() == 0 {
                return true;
            }
            &mut notify.deleted
        }
        "notify_priority_changes" => {
            notify.priority_changes = context.switch(item);
            return true;
        }
        _ => return false,
    };
    *slot = notify_line(context, item);
    true
}
