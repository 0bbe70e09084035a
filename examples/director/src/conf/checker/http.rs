//! `HTTP_GET` and `SSL_GET`.

use std::{num::NonZeroU32, time::Duration};

use super::{Common, Target, not_yet};
use crate::conf::{
    context::Context,
    diagnostic::{Code, Diagnostic},
    keywords::{Block, SSL_GET, URL},
    model::{
        Check, CheckKind, HttpCheck, HttpVersion, RegexOptions, ServerName, StatusRange, Url,
        UrlRegex,
    },
    source::Span,
    tree::Item,
    values::whole,
    virtual_server::TimingDefaults,
};

pub(super) fn read(
    context: &mut Context<'_>,
    target: &Target<'_>,
    block: Item<'_>,
    keywords: &'static Block,
) -> Option<Check> {
    let mut version = Some(HttpVersion::default());
    let mut virtual_host = target.virtualhost.map(str::to_owned);
    let mut server_name = ServerName::Untold;
    let mut tls_compliant = false;
    let mut fast_recovery = false;
    let mut blocks = Vec::new();
    let common = Common::read(
        context,
        target,
        block,
        keywords,
        |context, keyword, item| match keyword {
            "http_protocol" => version = context.one(item, "1.0, 1.0C or 1.1", http_version),
            "virtualhost" => virtual_host = context.one(item, "a name", owned),
            "enable_sni" if context.flag(item) => {
                if server_name == ServerName::Untold {
                    server_name = ServerName::VirtualHost;
                }
            }
            "sni_name" => {
                let name = context.one(item, "a name", owned);
                server_name = name.map_or(ServerName::VirtualHost, ServerName::Name);
            }
            "tls_compliant" => tls_compliant = context.flag(item),
            "fast_recovery" => fast_recovery = context.switch(item).unwrap_or(false),
            "url" => blocks.push(item),
            _ => not_yet(context, keyword, item),
        },
    );
    let urls: Vec<Option<Url>> = blocks
        .iter()
        .map(|block| {
            let mut url = url(context, *block)?;
            url.virtual_host = url.virtual_host.or_else(|| virtual_host.clone());
            url.tls_compliant |= tls_compliant;
            Some(url)
        })
        .collect();
    if urls.is_empty() {
        context.report(
            Diagnostic::new(
                Code::MissingKeyword,
                block.span(),
                format!("`{}` has no `url`", keywords.name),
            )
            .help("write `url { path / }`"),
        );
        return None;
    }
    let urls: Vec<Url> = urls.into_iter().collect::<Option<_>>()?;
    let steps = u32::try_from(urls.len()).ok().and_then(NonZeroU32::new);
    let kind = CheckKind::Http(HttpCheck {
        connect: common.connect(context, target, None)?,
        version: version?,
        tls: (keywords.name == SSL_GET.name).then_some(server_name),
        urls,
    });
    let defaults = TimingDefaults {
        delay_before_retry: Some(Duration::from_secs(3)),
        ..super::DEFAULTS
    };
    common.check(target, kind, defaults, |config| {
        config.down_interval = config.down_interval.max(config.retry_interval);
        config.steps = steps.unwrap_or(NonZeroU32::MIN);
        config.fast_recovery = fast_recovery;
    })
}

fn owned(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

fn http_version(text: &str) -> Result<HttpVersion, String> {
    match text.to_ascii_uppercase().as_str() {
        "1.0" => Ok(HttpVersion::V1_0),
        "1.0C" => Ok(HttpVersion::V1_0Close),
        "1.1" => Ok(HttpVersion::V1_1),
        _ => Err(format!(
            "`{text}` is not a version of HTTP: expected 1.0, 1.0C or 1.1"
        )),
    }
}

/// The parts of a regular expression, as written.
#[derive(Default)]
struct RegexDraft {
    pattern: Option<(String, Span)>,
    no_match: Option<Span>,
    options: Option<(RegexOptions, Span)>,
    min_offset: Option<(usize, Span)>,
    max_offset: Option<(usize, Span)>,
}

fn url(context: &mut Context<'_>, block: Item<'_>) -> Option<Url> {
    let mut path = None;
    let mut virtual_host = None;
    let mut status = Some(vec![StatusRange {
        first: 200,
        last: 299,
    }]);
    let mut digest = Some(None);
    let mut regex = RegexDraft::default();
    let mut tls_compliant = false;
    for (keyword, item) in context.keywords(&URL, block.items()) {
        match keyword {
            "path" => path = Some(context.one(item, "a path", request_path)),
            "virtualhost" => virtual_host = context.one(item, "a name", owned),
            "status_code" => status = status_codes(context, item),
            "digest" => digest = context.one(item, "an MD5 sum", md5).map(Some),
            "tls_compliant" => tls_compliant = context.flag(item),
            _ => regex.read(context, keyword, item),
        }
    }
    if path.is_none() {
        context.report(
            Diagnostic::new(Code::MissingKeyword, block.span(), "`url` has no `path`")
                .help("add `path /`"),
        );
    }
    let regex = regex.complete(context);
    Some(Url {
        path: path??,
        virtual_host,
        status: status?,
        digest: digest?,
        regex: regex?,
        tls_compliant,
    })
}

/// What stands in the first line of a request: no blanks, no control characters.
fn request_path(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(format!(
            "`{text}` is not a path of a page: expected no blanks; write a blank as %20"
        ));
    }
    Ok(text.to_owned())
}

fn md5(text: &str) -> Result<[u8; 16], String> {
    let wrong = || format!("`{text}` is not an MD5 sum: expected 32 hexadecimal digits");
    let number = u128::from_str_radix(text, 16).map_err(|_| wrong())?;
    if text.len() == 32 && !text.starts_with('+') {
        Ok(number.to_be_bytes())
    } else {
        Err(wrong())
    }
}

fn status_codes(context: &mut Context<'_>, item: Item<'_>) -> Option<Vec<StatusRange>> {
    if item.args().len() == 0 {
        context.report(
            Diagnostic::new(
                Code::MissingValue,
                item.span(),
                "`status_code` needs codes behind it",
            )
            .help("write them as `status_code 200-299 301`"),
        );
        return None;
    }
    let ranges: Vec<Option<StatusRange>> = item
        .args()
        .map(|word| context.parsed(word, status_range))
        .collect();
    ranges.into_iter().collect()
}

fn status_range(text: &str) -> Result<StatusRange, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let code = whole("a status code", 100..=599);
    let (first, last) = (code(first)?, code(last)?);
    if first > last {
        return Err(format!("the end of `{text}` is before its beginning"));
    }
    Ok(StatusRange { first, last })
}

impl RegexDraft {
    fn read(&mut self, context: &mut Context<'_>, keyword: &'static str, item: Item<'_>) {
        let span = item.span();
        let offset = |context: &mut Context<'_>| {
            let parse = whole("an offset in bytes", 0..=usize::MAX);
            context
                .one(item, "a number", parse)
                .map(|bytes| (bytes, span))
        };
        match keyword {
            "regex" => {
                let pattern = context.one(item, "a pattern", owned);
                let place = item.args().next().map_or(span, |word| word.span);
                self.pattern = pattern.map(|pattern| (pattern, place));
            }
            "regex_no_match" => self.no_match = context.flag(item).then_some(span),
            "regex_options" => self.options = Some((regex_options(context, item), span)),
            "regex_min_offset" => self.min_offset = offset(context),
            "regex_max_offset" => self.max_offset = offset(context),
            _ => not_yet(context, keyword, item),
        }
    }

    /// The regular expression, if there is one; `None` if it is wrong.
    fn complete(self, context: &mut Context<'_>) -> Option<Option<UrlRegex>> {
        let Some((pattern, span)) = self.pattern else {
            self.report_without_pattern(context);
            return Some(None);
        };
        let options = self.options.map(|(options, _)| options).unwrap_or_default();
        if let Err(error) = compiled(&pattern, options) {
            context.report(
                Diagnostic::new(
                    Code::WrongRegex,
                    span,
                    format!("the pattern cannot be matched: {error}"),
                )
                .help(
                    "the syntax is that of https://docs.rs/regex, which is PCRE's but for \
                     look-around and back-references; quote a pattern with a blank, `#` or `!`, \
                     and write `\\\\` for `\\`",
                ),
            );
            return None;
        }
        let min_offset = self.min_offset.map_or(0, |(bytes, _)| bytes);
        if let Some((max, span)) = self.max_offset
            && max < min_offset
        {
            let message =
                format!("no match starts at {min_offset} or later and at {max} or before");
            context.report(
                Diagnostic::new(Code::Conflict, span, message)
                    .help("let `regex_min_offset` be at most `regex_max_offset`"),
            );
            return None;
        }
        Some(Some(UrlRegex {
            pattern,
            no_match: self.no_match.is_some(),
            options,
            min_offset,
            max_offset: self.max_offset.map(|(bytes, _)| bytes),
        }))
    }

    fn report_without_pattern(&self, context: &mut Context<'_>) {
        let places = [
            self.no_match,
            self.options.map(|(_, span)| span),
            self.min_offset.map(|(_, span)| span),
            self.max_offset.map(|(_, span)| span),
        ];
        for span in places.into_iter().flatten() {
            let message = "there is no `regex` that this could belong to";
            context.report(
                Diagnostic::new(Code::Ignored, span, message).help("add `regex`, or remove it"),
            );
        }
    }
}

fn compiled(pattern: &str, options: RegexOptions) -> Result<regex::bytes::Regex, String> {
    regex::bytes::RegexBuilder::new(pattern)
        .case_insensitive(options.caseless)
        .multi_line(options.multiline)
        .dot_matches_new_line(options.dotall)
        .ignore_whitespace(options.extended)
        .swap_greed(options.ungreedy)
        .build()
        .map_err(|error| last_line(&error.to_string()))
}

/// What the crate says in the last line of several, without its drawing.
fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or(text);
    line.trim_start_matches("error: ").to_owned()
}

/// Options of PCRE that make it faster, forbid something or name what holds here anyway.
const WITHOUT_EFFECT: [&str; 12] = [
    "auto_callout",
    "dollar_endonly",
    "dupnames",
    "never_backslash_c",
    "never_ucp",
    "never_utf",
    "no_auto_capture",
    "no_auto_possess",
    "no_dotstar_anchor",
    "no_start_optimize",
    "use_offset_limit",
    "utf",
];

/// Options of PCRE that cannot be had here.
const NOT_YET: [&str; 6] = [
    "allow_empty_class",
    "alt_bsux",
    "alt_circumflex",
    "alt_verbnames",
    "firstline",
    "match_unset_backref",
];

fn regex_options(context: &mut Context<'_>, item: Item<'_>) -> RegexOptions {
    let mut options = RegexOptions::default();
    for word in item.args() {
        for name in word.text.split_ascii_whitespace() {
            match name {
                "caseless" => options.caseless = true,
                "multiline" => options.multiline = true,
                "dotall" => options.dotall = true,
                "extended" => options.extended = true,
                "ungreedy" => options.ungreedy = true,
                "ucp" => {}
                _ if WITHOUT_EFFECT.contains(&name) => {}
                _ if NOT_YET.contains(&name) => {
                    context.report_not_yet(&format!("`{name}`"), word.span);
                }
                _ => {
                    let message = format!("`{name}` is not an option of a regular expression");
                    context.report(Diagnostic::new(Code::WrongValue, word.span, message).help(
                        "those that change what matches are caseless, multiline, dotall, \
                             extended and ungreedy",
                    ));
                }
            }
        }
    }
    options
}
