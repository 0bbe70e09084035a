//! `vrrp_sync_group`.

use std::sync::Arc;

use super::{
    context::Context,
    diagnostic::{Code, Diagnostic},
    keywords::VRRP_SYNC_GROUP,
    model::{Notify, Places, SyncGroup},
    script,
    track::{self, Tracks},
    tree::Item,
};

/// A `vrrp_sync_group` as written.
#[derive(Debug)]
pub(super) struct GroupDraft {
    pub(super) group: SyncGroup,
    pub(super) tracks: Tracks,
    /// `sync_group_tracking_weight`: members keep their own weights.
    pub(super) keeps_weights: bool,
}

/// Reads a `vrrp_sync_group`.
pub(super) fn vrrp_sync_group(context: &mut Context<'_>, block: Item<'_>) -> Option<GroupDraft> {
    let name = context.name(block)?;
    let mut draft = GroupDraft {
        group: SyncGroup {
            name: name.text.into(),
            members: Vec::new(),
            notify: Notify::default(),
            places: Places::new(block.span()),
        },
        tracks: Tracks::default(),
        keeps_weights: false,
    };
    for (keyword, item) in context.keywords(&VRRP_SYNC_GROUP, block.items()) {
        let SyncGroup { places, notify, .. } = &mut draft.group;
        places.set(keyword, item.span());
        let taken = script::notify(context, notify, keyword, item)
            || track::track(context, &mut draft.tracks, places, keyword, item);
        match keyword {
            _ if taken => {}
            "group" => members(context, &mut draft.group, item),
            "sync_group_tracking_weight" => draft.keeps_weights = context.flag(item),
            _ => context.report_not_yet(&format!("`{keyword}`"), item.span()),
        }
    }
    report_size(context, &draft.group);
    Some(draft)
}

fn members(context: &mut Context<'_>, group: &mut SyncGroup, block: Item<'_>) {
    for word in block.items().flat_map(Item::words) {
        let name: Arc<str> = word.text.into();
        if let Some(first) = group.places.entry("group", &name) {
            context.report(
                Diagnostic::new(
                    Code::DuplicateEntry,
                    word.span,
                    format!("`{name}` is in the group twice"),
                )
                .note(first, "first here")
                .help("remove one of them"),
            );
            continue;
        }
        group.places.set_entry("group", &name, word.span);
        group.members.push(name);
    }
}

fn report_size(context: &mut Context<'_>, group: &SyncGroup) {
    let span = group.places.block();
    match group.members.len() {
        0 => context.report(
            Diagnostic::new(
                Code::MissingKeyword,
                span,
                format!("`vrrp_sync_group {}` has no members", group.name),
            )
            .help("name its instances in `group { ... }` inside the block"),
        ),
        1 => context.report(
            Diagnostic::new(
                Code::Unused,
                span,
                format!("`vrrp_sync_group {}` has one member only", group.name),
            )
            .help("a group changes nothing for a single instance, but for its scripts"),
        ),
        _ => {}
    }
}
