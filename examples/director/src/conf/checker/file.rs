//! `FILE_CHECK`.

use std::time::Duration;

use health::{CheckConfig, KeepalivedTiming};

use super::{Target, not_yet};
use crate::conf::{
    context::Context,
    diagnostic::{Code, Diagnostic},
    keywords::FILE_CHECK,
    model::{Check, CheckKind, FileCheck},
    track_file::weight,
    tree::Item,
};

/// keepalived has the kernel tell it of changes; a look once a second also finds those of file
/// systems that tell nothing.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long a file system may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn read(
    context: &mut Context<'_>,
    target: &Target<'_>,
    block: Item<'_>,
) -> Option<Check> {
    let mut file = None;
    let mut weighed = None;
    for (keyword, item) in context.keywords(&FILE_CHECK, block.items()) {
        match keyword {
            "track_file" => {
                let name = context.name(item);
                file = Some(name.and_then(|name| target.track_files.find(context, name)));
            }
            "weight" => weighed = Some(weight(context, item)),
            _ => not_yet(context, keyword, item),
        }
    }
    let Some(file) = file else {
        context.report(
            Diagnostic::new(
                Code::MissingKeyword,
                block.span(),
                "`FILE_CHECK` has no `track_file`: keepalived goes on without the check",
            )
            .help("write `track_file NAME`, and a block `track_file NAME { file \"/path\" }`"),
        );
        return None;
    };
    let file = file?;
    let (weight, reverse) = weighed.unwrap_or(Some((file.weight, file.reverse)))?;
    let timing = KeepalivedTiming {
        delay_loop: INTERVAL,
        delay_before_retry: INTERVAL,
        retry: 0,
        timeout: PATIENCE,
        alpha: target.timing.alpha(),
    };
    Some(Check {
        kind: CheckKind::File(FileCheck {
            path: file.path.clone(),
            weight,
            reverse,
        }),
        config: CheckConfig::keepalived(&timing),
        warm_up: Duration::ZERO,
        log_all_failures: target.log_all_failures,
        span: block.span(),
    })
}
