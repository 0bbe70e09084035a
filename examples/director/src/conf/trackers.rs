//! What an instance tracks, its group's trackers included, and with which weights.

use std::collections::BTreeSet;

use vrrp::{Priority, Tracked, Tracker, Weight};

use super::{
    context::Context,
    diagnostic::{Code, Diagnostic},
    instance::Draft,
    router::Surroundings,
    track::{Track, Tracks, report_unknown},
    track_file::TrackFiles,
};

/// The trackers of the instance and of its group, with the weights that count.
pub(super) fn trackers(
    context: &mut Context<'_>,
    draft: &Draft,
    around: Surroundings<'_>,
    priority: Priority,
) -> Vec<Tracker> {
    let owner = priority
        .is_owner()
        .then_some("priority 255 is never changed");
    let member = match around.group {
        Some(group) if !group.keeps_weights => Some("the sync group has no weights of members"),
        Some(_) | None => None,
    };
    let mut trackers = resolve(context, &draft.tracks, around, owner.or(member));
    drop_own_interface(context, draft, &mut trackers);
    if let Some(group) = around.group {
        for tracker in resolve(context, &group.tracks, around, owner) {
            if trackers.iter().all(|own| own.tracked != tracker.tracked) {
                trackers.push(tracker);
            }
        }
    }
    trackers
}

/// Takes out the instance's own interface, which counts without being named (keepalived).
fn drop_own_interface(context: &mut Context<'_>, draft: &Draft, trackers: &mut Vec<Tracker>) {
    let Some(own) = draft.interface.as_deref() else {
        return;
    };
    let is_own = |tracker: &Tracker| {
        matches!(&tracker.tracked, Tracked::Interface(name) if **name == *own)
            && tracker.weight == Weight::REQUIRED
            && !tracker.reverse
    };
    if trackers.iter().any(is_own) {
        let help = if draft.dont_track_primary {
            "`dont_track_primary` holds, as in keepalived; remove one of the two"
        } else {
            "it is tracked anyway; remove it from `track_interface`"
        };
        context.report(
            Diagnostic::new(
                Code::Unused,
                draft.places.of_entry("track_interface", own),
                format!(
                    "`{own}` is the interface of `vrrp_instance {}` itself",
                    draft.name
                ),
            )
            .help(help),
        );
        trackers.retain(|tracker| !is_own(tracker));
    }
}

/// The trackers that count. Where weights are `dropped`, which is reported with the reason, an
/// interface is required instead, and a script or a file not tracked at all (keepalived).
fn resolve(
    context: &mut Context<'_>,
    tracks: &Tracks,
    around: Surroundings<'_>,
    dropped: Option<&str>,
) -> Vec<Tracker> {
    let mut trackers = Vec::new();
    for (track, mut tracker) in all(tracks, around) {
        match dropped {
            Some(why) if tracker.weight != Weight::REQUIRED => {
                let is_interface = matches!(tracker.tracked, Tracked::Interface(_));
                report_dropped(context, track, why, is_interface);
                tracker.weight = Weight::REQUIRED;
                trackers.extend(is_interface.then_some(tracker));
            }
            Some(_) | None => trackers.push(tracker),
        }
    }
    trackers
}

fn report_dropped(context: &mut Context<'_>, track: &Track, why: &str, is_interface: bool) {
    let (effect, help) = if is_interface {
        ("the interface is required", "remove the weight")
    } else {
        (
            "it is not tracked",
            "track it without weight, or in the sync group",
        )
    };
    let message = format!(
        "the weight of `{}` is dropped, as {why}: {effect}",
        track.name
    );
    context.report(Diagnostic::new(Code::DroppedWeight, track.span, message).help(help));
}

/// Reports the entries whose script or file does not exist.
pub(super) fn check_names(
    context: &mut Context<'_>,
    tracks: &Tracks,
    names: &BTreeSet<&str>,
    files: &TrackFiles,
) {
    for track in &tracks.files {
        files.check(context, &track.name, track.span);
    }
    for track in &tracks.scripts {
        if !names.contains(track.name.as_str()) {
            let named = (&*track.name, track.span);
            let names = names.iter().copied();
            report_unknown(context, Code::UnknownScript, "vrrp_script", named, names);
        }
    }
}

/// The entries whose script or file exists, with their own weights or those of that.
fn all<'c>(
    tracks: &'c Tracks,
    around: Surroundings<'c>,
) -> impl Iterator<Item = (&'c Track, Tracker)> {
    let tracker = |track: &Track, tracked, weight, reverse| {
        let mut tracker = Tracker::weighted(tracked, track.weight.unwrap_or(weight));
        tracker.reverse = track.reverse.unwrap_or(reverse);
        tracker
    };
    let of_scripts = tracks.scripts.iter().filter_map(move |track| {
        let script = around.scripts.get(track.name.as_str())?;
        let tracked = Tracked::Condition(script.name.clone());
        // An entry with a weight of its own takes nothing from the script.
        let reverse = track.weight.is_none() && script.reverse;
        Some((track, tracker(track, tracked, script.weight, reverse)))
    });
    let of_interfaces = tracks.interfaces.iter().map(move |track| {
        let tracked = Tracked::Interface(track.name.as_str().into());
        (track, tracker(track, tracked, Weight::REQUIRED, false))
    });
    let of_files = tracks.files.iter().filter_map(move |track| {
        let file = around.files.named(&track.name)?;
        let tracked = Tracked::Condition(file.condition());
        let reverse = track.weight.is_none() && file.reverse;
        Some((track, tracker(track, tracked, file.vrrp_weight(), reverse)))
    });
    of_scripts.chain(of_interfaces).chain(of_files)
}
