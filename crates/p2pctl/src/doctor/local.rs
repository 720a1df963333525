//! What can be seen without the daemon.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use p2p_api::Report;
use p2p_pacman::PacmanConf;

use super::ask::ask;

/// The defaults of a system; another configuration's are the daemon's to tell.
const CONFIG: &str = "/etc/p2pd/p2pd.toml";
const PACMAN_CONFIG: &str = "/etc/pacman.conf";
/// What others need of a directory on the way, and of a socket.
const ENTER: u32 = 0o001;
const TALK: u32 = 0o006;

/// The facts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Local {
    pub(super) socket: SocketFacts,
    /// Whether the system has a user `alpm`.
    pub(super) has_alpm: bool,
    /// The program of pacman's `XferCommand`, where it is not in its place.
    pub(super) lacks: Option<PathBuf>,
    /// What the service manager says of p2pd; none where it was not asked, or said nothing.
    pub(super) service: Option<String>,
    /// What is wrong with p2pd's configuration; none where it was not asked, or nothing is.
    pub(super) config_fault: Option<String>,
    /// What pacman's configuration says; none where it was not asked.
    pub(super) pacman: Option<Result<Option<String>, String>>,
}

/// Where the daemon listens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SocketFacts {
    pub(super) path: PathBuf,
    pub(super) is_there: bool,
    /// Whether every user may connect to it, once there.
    pub(super) is_open: bool,
    /// The first directory on the way that not every user may enter.
    pub(super) closed: Option<PathBuf>,
}

impl Local {
    /// What the daemon can't see of itself.
    pub(super) fn of_running(socket: &Path, xfer_command: Option<&str>) -> Self {
        Self {
            socket: SocketFacts::of(socket),
            has_alpm: has_user("alpm"),
            lacks: xfer_command.and_then(missing_program),
            ..Self::default()
        }
    }

    /// And why it may not run.
    pub(super) fn of_absent(socket: &Path) -> Self {
        let pacman = PacmanConf::load(Path::new(PACMAN_CONFIG));
        Self {
            service: service(),
            config_fault: config_fault(),
            pacman: Some(pacman.map(|conf| conf.xfer_command).map_err(|error| Report(&error).to_string())),
            ..Self::of_running(socket, None)
        }
    }
}

impl SocketFacts {
    fn of(socket: &Path) -> Self {
        let metadata = fs_err::metadata(socket).ok().filter(|metadata| metadata.file_type().is_socket());
        let absolute = std::path::absolute(socket).unwrap_or_else(|_| socket.to_owned());
        let is_closed =
            |directory: &&Path| fs_err::metadata(directory).is_ok_and(|metadata| metadata.mode() & ENTER == 0);
        Self {
            path: socket.to_owned(),
            is_there: metadata.is_some(),
            is_open: metadata.is_some_and(|metadata| metadata.mode() & TALK == TALK),
            closed: absolute.ancestors().skip(1).filter(is_closed).last().map(Path::to_owned),
        }
    }
}

/// The first word of a command, where it is the path of a file that is not there: pacman gives the whole to a shell.
fn missing_program(command: &str) -> Option<PathBuf> {
    let program = Path::new(command.split_whitespace().next()?);
    (program.is_absolute() && !program.exists()).then(|| program.to_owned())
}

fn has_user(name: &str) -> bool {
    let passwd = fs_err::read_to_string("/etc/passwd").unwrap_or_default();
    passwd.lines().any(|line| line.split(':').next() == Some(name))
}

/// What the service manager says, in a word or two.
fn service() -> Option<String> {
    let said = if Path::new("/run/systemd/system").is_dir() {
        ask("systemctl", &["is-active", "p2pd"])
    } else if Path::new("/run/openrc").is_dir() {
        ask("rc-service", &["p2pd", "status"])
    } else {
        None
    };
    // OpenRC begins its lines with a star.
    let first = |text: &str| text.lines().next().unwrap_or_default().trim_start_matches([' ', '*']).to_owned();
    said.map(|said| first(&said.text)).filter(|text| !text.is_empty())
}

/// What p2pd says of its configuration, if it is installed.
fn config_fault() -> Option<String> {
    let said = ask("p2pd", &["--check-config", "--config", CONFIG])?;
    (!said.succeeded).then(|| said.text.lines().next().unwrap_or("it is wrong").to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_program_is_missed_in_its_own_place_and_no_other() {
        let gone = "/usr/bin/p2pt-there-is-no-such-program";
        assert_eq!(missing_program(&format!("{gone} %u %o")), Some(gone.into()));
        for there in ["/usr/bin/env P2PD_SOCKET=/tmp/s pacman2pacman-get %u %o", "pacman2pacman-get %u %o", ""] {
            assert_eq!(missing_program(there), None, "{there}");
        }
    }

    #[test]
    fn a_socket_and_the_way_to_it_are_open_or_not() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let set = |path: &Path, mode| {
            let permissions = fs_err::metadata(path).map(|metadata| {
                let mut permissions = metadata.permissions();
                permissions.set_mode(mode);
                permissions
            });
            fs_err::set_permissions(path, permissions.expect("it is there")).expect("it is ours");
        };
        let path = directory.path().join("p2pd.sock");
        assert!(!SocketFacts::of(&path).is_there);
        let _listener = UnixListener::bind(&path).expect("a socket");
        set(&path, 0o666);
        set(directory.path(), 0o755);
        let facts = SocketFacts::of(&path);
        assert!(facts.is_there && facts.is_open && facts.closed.is_none(), "{facts:?}");
        set(&path, 0o600);
        set(directory.path(), 0o700);
        let facts = SocketFacts::of(&path);
        assert!(!facts.is_open, "{facts:?}");
        assert_eq!(facts.closed.as_deref(), Some(directory.path()));
    }
}
