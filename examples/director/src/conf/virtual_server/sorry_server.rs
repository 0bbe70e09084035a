//! `sorry_server`.

use ipvs::DestinationSettings;

use super::{
    forwarding::{Method, method},
    real_server::{ServerName, is_host, server_name},
};
use crate::conf::{
    context::{Args, Context},
    diagnostic::{Code, Diagnostic},
    model::{Destination, SorryServer},
    source::Span,
    tree::Item,
};

/// What a `virtual_server` says about its sorry server.
#[derive(Debug, Default)]
pub(super) struct SorryDraft {
    name: Option<Option<ServerName>>,
    inhibit: Option<Span>,
    method: Option<(Option<Method>, Span)>,
}

/// The sorry server could not be read.
pub(super) struct Broken;

impl SorryDraft {
    /// Takes over a line; `false` if the keyword is none of these.
    pub(super) fn read(
        &mut self,
        context: &mut Context<'_>,
        keyword: &str,
        item: Item<'_>,
    ) -> bool {
        match keyword {
            "sorry_server" => self.name = Some(server_name(context, Args::of(item))),
            "sorry_server_inhibit" => {
                if context.flag(item) {
                    self.inhibit = Some(item.span());
                }
            }
            "sorry_server_lvs_method" => self.method = Some((method(context, item), item.span())),
            _ => return false,
        }
        true
    }

    /// The sorry server and where its address stands.
    pub(super) fn complete(
        &self,
        context: &mut Context<'_>,
        of_all: Method,
        is_of_group: bool,
    ) -> Result<Option<(SorryServer, Span)>, Broken> {
        let Some(name) = self.name else {
            let method = self
                .method
                .map(|(_, span)| ("sorry_server_lvs_method", span));
            let inhibit = self.inhibit.map(|span| ("sorry_server_inhibit", span));
            for (keyword, span) in method.into_iter().chain(inhibit) {
                let message = format!("`{keyword}` without `sorry_server`");
                context.report(
                    Diagnostic::new(Code::MissingKeyword, span, message)
                        .help("add `sorry_server ADDRESS PORT`, or remove it"),
                );
            }
            return Ok(None);
        };
        let name = name.ok_or(Broken)?;
        let method = self
            .method
            .map_or(Some(of_all), |(method, _)| method)
            .ok_or(Broken)?;
        if !is_host(context, name.address, name.span) {
            return Err(Broken);
        }
        let sorry = SorryServer {
            destination: Destination {
                address: name.address,
                port: name.port,
                is_of_group,
                settings: DestinationSettings::new(method.forwarding),
                full_nat: method.full_nat,
            },
            inhibit: self.inhibit.is_some(),
        };
        Ok(Some((sorry, name.span)))
    }
}
