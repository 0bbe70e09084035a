//! The tree → the typed configuration.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

mod conflicts;

use conflicts::{
    report_same_names, report_same_routers, report_shared_addresses, report_unused_scripts,
};

use super::{
    context::Context,
    diagnostic::{Code, Diagnostic},
    global::{Defaults, global_defs},
    instance::{Draft, vrrp_instance},
    keywords::FILE,
    lvs::{LvsDraft, ssl},
    model::{Config, Global, TrackFile, VirtualServer, VrrpInstance, VrrpScript},
    router::{Surroundings, complete},
    script::vrrp_script,
    source::Span,
    suggest::did_you_mean,
    sync_group::{GroupDraft, vrrp_sync_group},
    track::{Track, Tracks},
    track_file::TrackFiles,
    trackers::check_names,
    tree::{Item, Tree},
    virtual_server::{Around, Group, Seen, virtual_server, virtual_server_group},
};

/// Reads what the tree means. The result is only to be used if there was no error. Virtual servers
/// that are the same in `before` are shared with it.
pub(super) fn build(context: &mut Context<'_>, tree: &Tree, before: Option<&Config>) -> Config {
    let mut global = Global::default();
    let mut defaults = Defaults::default();
    let mut scripts = Vec::new();
    let mut script_names = BTreeSet::new();
    let mut drafts = Vec::new();
    let mut groups = Vec::new();
    let mut lvs = LvsDraft::default();
    let mut server_groups = Vec::new();
    let mut track_files = TrackFiles::default();
    let mut servers = Vec::new();
    let mut tls = None;
    for (keyword, item) in context.keywords(&FILE, tree.items()) {
        match keyword {
            "global_defs" => global_defs(context, &mut global, &mut defaults, &mut lvs, item),
            "vrrp_script" => {
                script_names.extend(item.args().next().map(|name| name.text));
                scripts.extend(vrrp_script(context, item));
            }
            "vrrp_instance" => drafts.extend(vrrp_instance(context, item)),
            "vrrp_sync_group" => groups.extend(vrrp_sync_group(context, item)),
            "virtual_server_group" => server_groups.extend(virtual_server_group(context, item)),
            "track_file" => track_files.read(context, item),
            // Read once all groups and files are known.
            "virtual_server" => servers.push(item),
            "SSL" => tls = Some(ssl(context, item)),
            _ => context.report_not_yet(&format!("`{keyword}`"), item.span()),
        }
    }
    global.fifos = std::mem::take(&mut defaults.fifos).complete(context);
    let of_script = |script: &VrrpScript| (script.name.to_string(), script.places.block());
    let of_draft = |draft: &Draft| (draft.name.to_string(), draft.places.block());
    let of_group = |draft: &GroupDraft| (draft.group.name.to_string(), draft.group.places.block());
    report_same_names(context, "vrrp_script", scripts.iter().map(of_script));
    report_same_names(context, "vrrp_instance", drafts.iter().map(of_draft));
    report_same_names(context, "vrrp_sync_group", groups.iter().map(of_group));

    let of_server_group = |group: &Group| (group.name.to_string(), group.span);
    let names = server_groups.iter().map(of_server_group);
    report_same_names(context, "virtual_server_group", names);
    let of_file = |file: &TrackFile| (file.name.to_string(), file.places.block());
    report_same_names(context, "track_file", track_files.good.iter().map(of_file));
    let mut seen = Seen::default();
    let virtual_servers = virtual_servers(
        context,
        &mut seen,
        server_groups,
        &track_files,
        &servers,
        lvs.log_all_failures,
        before.map_or(&[], |before| &before.virtual_servers),
    );
    let tracked = |list: fn(&Tracks) -> &Vec<Track>| -> BTreeSet<String> {
        let of_instances = drafts.iter().map(|draft| &draft.tracks);
        let of_groups = groups.iter().map(|draft| &draft.tracks);
        let entries = of_instances.chain(of_groups).flat_map(list);
        entries.map(|track| track.name.clone()).collect()
    };
    track_files.report_unused(context, &servers, &tracked(|tracks| &tracks.files));
    let of_all = tracked(|tracks| &tracks.scripts);
    if of_all
        .iter()
        .all(|name| script_names.contains(name.as_str()))
    {
        report_unused_scripts(context, &scripts, &of_all);
    }
    let script_of = scripts
        .iter()
        .map(|script| (&*script.name, script))
        .collect();
    let group_of = members(context, &drafts, &groups);
    for group in &groups {
        check_names(context, &group.tracks, &script_names, &track_files);
    }
    let instance_names: Vec<_> = drafts.iter().map(|draft| draft.name.clone()).collect();
    let instances: Vec<VrrpInstance> = drafts
        .into_iter()
        .filter_map(|draft| {
            check_names(context, &draft.tracks, &script_names, &track_files);
            let group = group_of.get(&*draft.name);
            let around = Surroundings {
                defaults: &defaults,
                scripts: &script_of,
                files: &track_files,
                group: group.and_then(|&index| groups.get(index)),
            };
            complete(context, draft, around)
        })
        .collect();
    report_same_routers(context, &instances);
    report_shared_addresses(context, &instances);
    let instance_names: Vec<&str> = instance_names.iter().map(|name| &**name).collect();
    let lvs = lvs.complete(context, &instances, &instance_names, seen.mixed);
    Config {
        global,
        instances,
        sync_groups: groups.into_iter().map(|draft| draft.group).collect(),
        scripts,
        track_files: track_files.good,
        virtual_servers,
        lvs,
        tls,
    }
}

fn virtual_servers(
    context: &mut Context<'_>,
    seen: &mut Seen,
    groups: Vec<Group>,
    track_files: &TrackFiles,
    servers: &[Item<'_>],
    log_all_failures: bool,
    before: &[Arc<VirtualServer>],
) -> Vec<Arc<VirtualServer>> {
    let before: BTreeMap<_, _> = before.iter().map(|server| (&server.name, server)).collect();
    let groups = groups
        .into_iter()
        .map(|group| (group.name.clone(), group))
        .collect();
    let around = Around {
        groups: &groups,
        track_files,
        log_all_failures,
    };
    let mut names = BTreeSet::new();
    let read = servers.iter().filter_map(|server| {
        let mut server = virtual_server(context, seen, around, *server)?;
        if !names.insert(server.name.clone()) {
            server.name.of = server.apart();
            names.insert(server.name.clone());
        }
        Some(match before.get(&server.name) {
            Some(same) if ***same == server => Arc::clone(same),
            _ => Arc::new(server),
        })
    });
    let read = read.collect();
    // By what is written, so that a group is not unused for a mistake in its virtual server.
    let used: BTreeSet<&str> = servers
        .iter()
        .filter(|server| {
            server
                .args()
                .next()
                .is_some_and(|word| word.text == "group")
        })
        .filter_map(|server| server.args().nth(1).map(|word| word.text))
        .collect();
    for group in groups.values().filter(|group| !used.contains(&*group.name)) {
        let message = format!(
            "no virtual server is for `virtual_server_group {}`",
            group.name
        );
        context.report(
            Diagnostic::new(Code::Unused, group.span, message).help(format!(
                "write `virtual_server group {} {{ ... }}`, or remove it",
                group.name
            )),
        );
    }
    read
}

/// The index of the group that each instance is in. Reports members that do not exist or are in
/// two groups.
fn members(
    context: &mut Context<'_>,
    drafts: &[Draft],
    groups: &[GroupDraft],
) -> BTreeMap<String, usize> {
    let names: BTreeSet<&str> = drafts.iter().map(|draft| &*draft.name).collect();
    let mut group_of: BTreeMap<String, usize> = BTreeMap::new();
    for (index, GroupDraft { group, .. }) in groups.iter().enumerate() {
        for member in &group.members {
            let span = group.places.of_entry("group", member);
            if !names.contains(&**member) {
                let others = names.iter().copied();
                let others = others.filter(|name| !group.members.iter().any(|m| **m == **name));
                report_unknown_instance(context, member, others, span);
                continue;
            }
            let Some(other) = group_of.insert(member.to_string(), index) else {
                continue;
            };
            let Some(other) = groups.get(other).map(|draft| &draft.group) else {
                continue;
            };
            context.report(
                Diagnostic::new(
                    Code::Conflict,
                    span,
                    format!("`{member}` is in `{}` and in `{}`", other.name, group.name),
                )
                .note(other.places.of_entry("group", member), "the first group")
                .help("an instance is in one group at most"),
            );
        }
    }
    group_of
}

fn report_unknown_instance<'n>(
    context: &mut Context<'_>,
    name: &str,
    others: impl Iterator<Item = &'n str>,
    span: Span,
) {
    let diagnostic = Diagnostic::new(
        Code::UnknownInstance,
        span,
        format!("there is no `vrrp_instance {name}`"),
    );
    context.report(match did_you_mean(name, others) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
        None => diagnostic.help("name one of the instances, or remove it"),
    });
}

#[cfg(test)]
mod tests {
    use crate::conf::{
        Code, MemoryEnvironment, Options,
        keywords::{
            AUTHENTICATION, Block, DNS_CHECK, FILE, FILE_CHECK, Form, GLOBAL_DEFS, HOST, HTTP_GET,
            MISC_CHECK, PING_CHECK, REAL_SERVER, SMTP_CHECK, SSL, SSL_GET, Support, TCP_CHECK,
            TRACK_FILE, UDP_CHECK, URL, VIRTUAL_SERVER, VRRP_INSTANCE, VRRP_SCRIPT,
            VRRP_SYNC_GROUP,
        },
        load,
    };

    fn in_real_server(lines: &str) -> String {
        format!("virtual_server 192.0.2.1 80 {{\nreal_server 192.0.2.2 80 {{\n{lines}\n}}\n}}\n")
    }

    /// The words that are said to be not done yet in a block that holds `line`.
    fn not_yet(block: &Block, line: &str) -> usize {
        let text = match block.name {
            "" => format!("{line}\n"),
            "global_defs" => format!("global_defs {{\n{line}\n}}\n"),
            "authentication" => {
                format!("vrrp_instance V {{\nauthentication {{\n{line}\n}}\n}}\n")
            }
            "SSL" => format!("SSL {{\n{line}\n}}\n"),
            "virtual_server" => format!("virtual_server 192.0.2.1 80 {{\n{line}\n}}\n"),
            "real_server" => in_real_server(line),
            "url" => in_real_server(&format!("HTTP_GET {{\nurl {{\n{line}\n}}\n}}")),
            "host" => in_real_server(&format!("SMTP_CHECK {{\nhost {{\n{line}\n}}\n}}")),
            name if REAL_SERVER.keyword(name).is_some() => {
                in_real_server(&format!("{name} {{\n{line}\n}}"))
            }
            name => format!("{name} V {{\n{line}\n}}\n"),
        };
        let machine = MemoryEnvironment::with_file("a", text);
        let loaded = load("a", &machine, &Options::default()).unwrap();
        let codes = loaded.diagnostics.iter().map(|diagnostic| diagnostic.code);
        codes
            .filter(|code| matches!(code, Code::NotYet | Code::NotYetVital))
            .count()
    }

    #[test]
    fn what_the_table_calls_done_is_done_and_nothing_else_is() {
        for block in [
            &FILE,
            &GLOBAL_DEFS,
            &VRRP_INSTANCE,
            &AUTHENTICATION,
            &VRRP_SCRIPT,
            &VRRP_SYNC_GROUP,
            &SSL,
            &VIRTUAL_SERVER,
            &REAL_SERVER,
            &TCP_CHECK,
            &HTTP_GET,
            &SSL_GET,
            &URL,
            &SMTP_CHECK,
            &HOST,
            &DNS_CHECK,
            &MISC_CHECK,
            &UDP_CHECK,
            &PING_CHECK,
            &FILE_CHECK,
            &TRACK_FILE,
        ] {
            for keyword in block.keywords() {
                let line = match keyword.form {
                    Form::Line => keyword.name.to_owned(),
                    Form::Block(_) => format!("{} X {{ }}", keyword.name),
                };
                let later = matches!(
                    keyword.support,
                    Support::NotYet | Support::NotYetVital | Support::Refused(_)
                );
                let expected = usize::from(later);
                assert_eq!(not_yet(block, &line), expected, "{} {line}", block.name);
            }
        }
    }
}
