//! Whether pacman comes to us, and may.

use p2p_api::{Diagnosis, PacmanUse};

use crate::doctor::finding::Finding;
use crate::doctor::local::Local;

/// Our client.
const CLIENT: &str = "pacman2pacman-get";
const LINE: &str = "put `XferCommand = /usr/bin/pacman2pacman-get %u %o` below [options]";

pub(super) fn usage(pacman: &PacmanUse, local: &Local) -> Finding {
    let config = &pacman.config;
    if let Some(fault) = &pacman.fault {
        return Finding::problem("pacman", fault, "until this is mended, p2pd goes by what it read before");
    }
    let ours = pacman.xfer_command.as_ref().filter(|command| command.contains(CLIENT));
    match (ours, pacman.served_repositories) {
        (Some(_), 1..) => {
            let text = format!("{config} has both our XferCommand and our cache server");
            Finding::warning(
                "pacman",
                text,
                "leave one of them out: XferCommand is called for the cache server's URLs, too",
            )
        }
        (Some(_), 0) if local.lacks.is_some() => {
            let program = local.lacks.iter().map(|program| program.display().to_string()).collect::<String>();
            let text = format!("{config} names {program}, which is not there: every download fails");
            Finding::problem("pacman", text, "install it, or take the XferCommand line out")
        }
        (Some(_), 0) => Finding::ok("pacman", format!("{config} has our XferCommand")),
        (None, 1..) => Finding::ok("pacman", format!("{config} names our cache server")),
        (None, 0) => match &pacman.xfer_command {
            Some(other) => Finding::problem(
                "pacman",
                format!("{config} has another XferCommand: {other}"),
                format!("in its place, {LINE}"),
            ),
            None => {
                Finding::problem("pacman", format!("pacman does not come to p2pd: {config} has no XferCommand"), LINE)
            }
        },
    }
}

/// The same by pacman's usual configuration: its `XferCommand`, or what is wrong with it.
pub(super) fn usage_without_daemon(pacman: &Result<Option<String>, String>) -> Finding {
    match pacman {
        Err(fault) => Finding::problem("pacman", fault, "p2pd does not start without pacman's configuration"),
        Ok(Some(command)) if command.contains(CLIENT) => Finding::ok(
            "pacman",
            "/etc/pacman.conf has our XferCommand, which downloads by itself while p2pd is not there",
        ),
        Ok(_) => Finding::warning("pacman", "/etc/pacman.conf has no XferCommand of ours", LINE),
    }
}

/// Who comes, and whether he is let in.
pub(super) fn access(diagnosis: &Diagnosis, local: &Local) -> Finding {
    let (access, download_user) = (&diagnosis.access, diagnosis.pacman.download_user.as_deref());
    let user = download_user.unwrap_or("root");
    let whose = if download_user.is_some() { "pacman's DownloadUser" } else { "pacman" };
    if access.unknown_users.iter().any(|unknown| unknown == user) || (user == "alpm" && !local.has_alpm) {
        let text = format!("{whose} is {user}, and the system has no such user");
        return Finding::problem("access", text, "pacman's package makes the user alpm: install it again");
    }
    if !access.users.iter().any(|allowed| allowed == user) {
        let text = format!("{whose} is {user}, whom p2pd does not serve");
        return Finding::problem("access", text, format!("add {user:?} to daemon.fetch_users"));
    }
    if !access.group_exists {
        let text = format!("{user} may fetch; there is no group {:?}", access.group);
        return Finding::warning("access", text, "daemon.fetch_group names the group whose members may fetch");
    }
    Finding::ok("access", format!("{user} may fetch, and so may the members of {}", access.group))
}
