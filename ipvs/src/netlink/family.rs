//! The number of the generic netlink family, which the kernel gives out anew each time ip_vs is
//! loaded.

use std::io::Cursor;

use neli::{
    FromBytesWithInput as _, ToBytes as _,
    consts::{
        genl::{CtrlAttr, CtrlCmd},
        nl::GenlId,
    },
    genl::{AttrTypeBuilder, Genlmsghdr, GenlmsghdrBuilder, NlattrBuilder},
    types::GenlBuffer,
};

use crate::wire::{FAMILY, WireError};

/// The controller of generic netlink, which knows the numbers of the others.
pub(super) fn controller() -> u16 {
    GenlId::Ctrl.into()
}

/// Asks the controller for the family. Where it may, the kernel loads ip_vs to answer.
pub(super) fn request() -> Vec<u8> {
    let kind = AttrTypeBuilder::default().nla_type(CtrlAttr::FamilyName);
    let name = NlattrBuilder::default()
        .nla_type(kind.build().expect("the type is set"))
        .nla_payload(FAMILY)
        .build()
        .expect("type and payload are set");
    let message = GenlmsghdrBuilder::<CtrlCmd, CtrlAttr>::default()
        .cmd(CtrlCmd::Getfamily)
        .version(1)
        .attrs([name].into_iter().collect::<GenlBuffer<_, _>>())
        .build()
        .expect("command and version are set");
    let mut out = Cursor::new(Vec::new());
    message
        .to_bytes(&mut out)
        .expect("a vector takes what is written to it");
    out.into_inner()
}

/// Reads the controller's answer.
pub(super) fn number(answer: &[u8]) -> Result<u16, WireError> {
    let mut bytes = Cursor::new(answer);
    let message = Genlmsghdr::<CtrlCmd, CtrlAttr>::from_bytes_with_input(&mut bytes, answer.len())
        .map_err(|_| WireError::Truncated {
            what: "the answer of nlctrl",
        })?;
    let attributes = message.attrs().get_attr_handle();
    attributes
        .get_attr_payload_as(CtrlAttr::FamilyId)
        .map_err(|_| WireError::Missing {
            attribute: "CTRL_ATTR_FAMILY_ID",
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_controller_is_asked_for_the_family_by_its_name() {
        let mut expected = vec![3, 1, 0, 0];
        expected.extend(9_u16.to_ne_bytes());
        expected.extend(2_u16.to_ne_bytes());
        expected.extend(b"IPVS\0\0\0\0");
        assert_eq!(request(), expected);
        assert_eq!(controller(), 16);
    }

    proptest! {
        #[test]
        fn any_answer_has_a_number_or_is_an_error(bytes: Vec<u8>) {
            drop(number(&bytes));
        }

        #[test]
        fn any_answer_of_the_controller_has_a_number_or_is_an_error(attributes: Vec<u8>) {
            let mut bytes = vec![1, 2, 0, 0];
            bytes.extend(attributes);
            drop(number(&bytes));
        }
    }
}
