//! The daemon itself, its socket and its disk.

use std::time::{Duration, SystemTime};

use bytesize::ByteSize;
use p2p_api::{StateHealth, Status, Upload, UploadReason};

use crate::doctor::finding::Finding;
use crate::doctor::local::{Local, SocketFacts};
use crate::upload::summary;

/// Less than this, and the next upgrade may not fit.
const LITTLE_SPACE: u64 = 1024 * 1024 * 1024;
const NO_SPACE: u64 = 128 * 1024 * 1024;

pub(super) fn daemon(status: &Status) -> Finding {
    let up = humantime::format_duration(Duration::from_secs(status.uptime_seconds));
    Finding::ok("daemon", format!("p2pd {} has been running for {up}", status.version))
}

pub(super) fn absent(local: &Local) -> Finding {
    let socket = local.socket.path.display();
    let seen = if local.socket.is_there {
        format!("nobody answers on {socket}")
    } else {
        format!("there is no socket {socket}")
    };
    let text = match &local.service {
        Some(service) => format!("p2pd is not running: {seen}; the service manager says: {service}"),
        None => format!("p2pd is not running: {seen}"),
    };
    Finding::problem(
        "daemon",
        text,
        "start it with `systemctl start p2pd` or `rc-service p2pd start`, and read its log",
    )
}

pub(super) fn config(local: &Local) -> Option<Finding> {
    let fault = local.config_fault.as_ref()?;
    let hint = "`p2pd --check-config --config /etc/p2pd/p2pd.toml` says all that is wrong with it";
    Some(Finding::problem("configuration", fault, hint))
}

pub(super) fn socket(socket: &SocketFacts) -> Finding {
    let path = socket.path.display();
    match &socket.closed {
        Some(directory) => {
            let text = format!("not every user may enter {}, so pacman's may not reach {path}", directory.display());
            Finding::problem("socket", text, "`chmod o+x` this directory, or set daemon.socket")
        }
        None if !socket.is_open => {
            let text = format!("not every user may connect to {path}");
            Finding::problem("socket", text, "restart p2pd, which makes it anew; it decides itself who may fetch")
        }
        None => Finding::ok("socket", format!("every user may connect to {path}")),
    }
}

pub(super) fn space(state: &StateHealth) -> Finding {
    let Some(free) = state.free_bytes else {
        let text = format!("how much is free below {} can't be told", state.path);
        return Finding::warning("disk", text, "`df` may tell");
    };
    let text = format!("{} free below {}", size(free), state.path);
    match free {
        ..NO_SPACE => Finding::problem("disk", text, "make room: p2pd can't keep packages, and pacman may be next"),
        NO_SPACE..LITTLE_SPACE => Finding::warning("disk", text, "make room, or lower seed.max_store"),
        LITTLE_SPACE.. => Finding::ok("disk", text),
    }
}

pub(super) fn store(state: &StateHealth) -> Finding {
    let text = format!("{} of {} in p2pd's own store", size(state.store_bytes), size(state.max_store));
    if state.store_bytes > state.max_store {
        return Finding::warning(
            "store",
            text,
            "it shrinks once nobody needs the newest packages: look again in a minute",
        );
    }
    Finding::ok("store", text)
}

pub(super) fn upload(upload: &Upload) -> Finding {
    let text = summary(upload, SystemTime::now());
    match upload.reason {
        UploadReason::Paused => Finding::warning("upload", text, "`p2pctl resume` ends it"),
        UploadReason::Cap => Finding::warning("upload", text, "seed.monthly_cap sets it"),
        UploadReason::Limit | UploadReason::Schedule | UploadReason::OwnFetch | UploadReason::Default => {
            Finding::ok("upload", text)
        }
    }
}

fn size(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}
