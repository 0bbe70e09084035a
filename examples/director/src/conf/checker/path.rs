//! `forwarding_path`: the checker asks the virtual address, by the way of the clients' packets.

use std::net::IpAddr;

use ipvs::{Family, Forwarding};

use super::{Common, Target};
use crate::conf::{
    context::Context,
    diagnostic::{Code, Diagnostic},
    source::Span,
};

/// Whether a checker's packets take the way of the clients' packets.
pub(super) enum Wanted {
    Not,
    Yes(Forwarding),
    /// It makes no sense, which was reported.
    Broken,
}

impl Common {
    /// What the checker says, else its virtual server, which means those of its real servers that
    /// it makes sense for.
    pub(super) fn path(&self, context: &mut Context<'_>, target: &Target<'_>) -> Wanted {
        let Some(forwarding) = target.forwarding else {
            return Wanted::Not;
        };
        let keeps_address = matches!(forwarding, Forwarding::DirectRoute | Forwarding::Tunnel(_));
        let span = match self.path {
            Some((false, _)) => return Wanted::Not,
            Some((true, span)) if !keeps_address => {
                let message = "a real server by NAT gets packets for its own address, as the \
                               checker sends them";
                report(context, span, message, "remove `forwarding_path`");
                return Wanted::Broken;
            }
            Some((true, span)) => span,
            None if !target.forwarding_path || !keeps_address => return Wanted::Not,
            None => match self.span {
                None => return Wanted::Not,
                Some(span) => span,
            },
        };
        if let Some(mark) = self.mark {
            let message = "with `forwarding_path` packets have a mark already";
            report(context, mark, message, "remove one of the two");
            return Wanted::Broken;
        }
        let vip = self.ip.or(target.vip);
        if let (Some(vip), Some((server, _))) = (vip, target.server)
            && Family::of(vip) != Family::of(server)
        {
            let message = format!("{vip} and {server} are not of one family");
            let help = "write `forwarding_path off` for this real server";
            report(context, span, &message, help);
            return Wanted::Broken;
        }
        Wanted::Yes(forwarding)
    }

    /// The virtual address that is asked.
    pub(super) fn virtual_address(
        &self,
        context: &mut Context<'_>,
        target: &Target<'_>,
    ) -> Option<IpAddr> {
        let vip = self.ip.or(target.vip);
        if let (None, Some(span)) = (vip, self.span) {
            context.report(
                Diagnostic::new(
                    Code::MissingKeyword,
                    span,
                    "the virtual address that `forwarding_path` asks for is not known",
                )
                .help("add `connect_ip` with an address that clients ask for"),
            );
        }
        vip
    }
}

fn report(context: &mut Context<'_>, span: Span, message: &str, help: &str) {
    context.report(Diagnostic::new(Code::Conflict, span, message).help(help));
}
