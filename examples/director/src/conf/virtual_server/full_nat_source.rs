//! `full_nat_source`: where connections to servers by FULLNAT come from.

use ipvs::{Family, SourceRange};

use super::{group::parsed_range, real_server::Pool};
use crate::conf::{
    context::Context,
    diagnostic::{Code, Diagnostic},
    model::Places,
};

/// An address or a range of them, in the forms that a group has.
pub(super) fn sources(text: &str) -> Result<SourceRange, String> {
    let (first, last) = parsed_range(text)?.ends();
    SourceRange::new(first, last).map_err(|error| error.to_string())
}

/// Says what is wrong with a source for these servers.
pub(super) fn check(
    context: &mut Context<'_>,
    places: &Places,
    source: Option<SourceRange>,
    pool: &Pool,
) {
    let Some(source) = source else {
        return;
    };
    let place = places.of("full_nat_source");
    let mut servers = pool.destinations().filter(|it| it.full_nat).peekable();
    if servers.peek().is_none() {
        context.report(
            Diagnostic::new(Code::Unused, place, "no server is reached by FULLNAT")
                .help("remove it, or write `lb_kind FULLNAT`"),
        );
    } else if let Some(other) = servers.find(|server| Family::of(server.address) != source.family())
    {
        let message = format!(
            "{source} is not of the family of {}, which is reached by FULLNAT",
            other.address
        );
        context.report(
            Diagnostic::new(Code::WrongFamily, place, message)
                .help(format!("write an {} address", Family::of(other.address))),
        );
    }
}
