//! `notify_fifo`, `vrrp_notify_fifo`, `lvs_notify_fifo` and their scripts.

use super::{
    context::{Args, Context},
    diagnostic::{Code, Diagnostic},
    model::{FifoAbout, NotifyFifo, Script, ScriptUser},
    script::{notify_line, user_words},
    source::Span,
    tree::Item,
    values::absolute_path,
};

/// What `global_defs` says about FIFOs so far.
#[derive(Debug, Clone, Default)]
pub(super) struct FifoDrafts([FifoDraft; 3]);

/// A FIFO and its script as written.
#[derive(Debug, Clone, Default)]
struct FifoDraft {
    fifo: Option<(String, Option<ScriptUser>, Span)>,
    script: Option<(Script, Span)>,
    /// Whether it has a line that is wrong, which is reported.
    is_broken: bool,
}

/// The keywords, with what each FIFO is told of.
const KEYWORDS: [(&str, &str, FifoAbout); 3] = [
    ("notify_fifo", "notify_fifo_script", FifoAbout::Everything),
    (
        "vrrp_notify_fifo",
        "vrrp_notify_fifo_script",
        FifoAbout::Roles,
    ),
    (
        "lvs_notify_fifo",
        "lvs_notify_fifo_script",
        FifoAbout::Services,
    ),
];

impl FifoDrafts {
    /// Takes over a line; `false` if the keyword is none of these.
    pub(super) fn read(
        &mut self,
        context: &mut Context<'_>,
        keyword: &str,
        item: Item<'_>,
    ) -> bool {
        for (draft, (fifo, script, _)) in self.0.iter_mut().zip(KEYWORDS) {
            if keyword == fifo {
                draft.fifo = fifo_line(context, item);
                draft.is_broken |= draft.fifo.is_none();
                return true;
            }
            if keyword == script {
                draft.script = notify_line(context, item).map(|script| (script, item.span()));
                draft.is_broken |= draft.script.is_none();
                return true;
            }
        }
        false
    }

    pub(super) fn complete(self, context: &mut Context<'_>) -> Vec<NotifyFifo> {
        let mut fifos: Vec<NotifyFifo> = Vec::new();
        for (draft, (keyword, script_keyword, about)) in self.0.into_iter().zip(KEYWORDS) {
            let Some((path, owner, span)) = draft.fifo else {
                if let (Some((_, span)), false) = (draft.script, draft.is_broken) {
                    let message = format!("`{script_keyword}` has no `{keyword}`: it never runs");
                    context.report(
                        Diagnostic::new(Code::Unused, span, message)
                            .help(format!("write `{keyword} /path/of/the/fifo`, or remove it")),
                    );
                }
                continue;
            };
            if let Some(first) = fifos.iter().find(|first| first.path == path) {
                let message = format!("`{path}` is the FIFO of something else already");
                context.report(
                    Diagnostic::new(Code::Conflict, span, message)
                        .note(first.span, "the first one")
                        .help("give each FIFO a path of its own"),
                );
                continue;
            }
            fifos.push(NotifyFifo {
                about,
                path,
                owner,
                script: draft.script.map(|(script, _)| script),
                span,
            });
        }
        fifos
    }
}

/// `PATH [USER [GROUP]]`.
fn fifo_line(
    context: &mut Context<'_>,
    item: Item<'_>,
) -> Option<(String, Option<ScriptUser>, Span)> {
    let mut args = Args::of(item);
    let word = args.required(context, "a path")?;
    let path = context.parsed(word, absolute_path);
    let owner = match item.args().len() {
        0 | 1 => None,
        _ => Some(user_words(context, args)?),
    };
    Some((path?, owner, word.span))
}
