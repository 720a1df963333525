//! The command line, by hand: a parser of arguments would take longer than the rest of a start.

use std::ffi::OsString;
use std::path::PathBuf;

use p2p_api::TransactionId;
use p2p_client::socket_path;
use thiserror::Error;

use crate::learn::{self, Learner};

/// The short usage text.
pub(crate) const USAGE: &str = "usage: pacman2pacman-get [--socket PATH] URL [OUT]";

const HELP: &str = "\
usage: pacman2pacman-get [--socket PATH] URL [OUT]

Fetches URL through p2pd and writes it to OUT; downloads by itself with curl or wget where p2pd is of no help.
Without OUT it writes the last part of the URL into the current directory, or leaves what is there when it is the same.
pacman.conf: XferCommand = /usr/bin/pacman2pacman-get %u %o

  --socket PATH  where p2pd listens (else $P2PD_SOCKET, else /run/p2pd/p2pd.sock)
  --help         prints this text
  --version      prints the version

Exit status: 0 OUT is complete (without OUT: complete, or unchanged); 1 the file could not be had;
2 wrong usage; 128 + n stopped by signal n (130: ^C).";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Fetch(Options),
    /// What one of our own processes asks another for: no user needs to know.
    Learn(Learner),
    Text(String),
}

/// One file to fetch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) socket: Option<PathBuf>,
    pub(crate) url: String,
    pub(crate) out: Option<PathBuf>,
}

/// What is wrong with the command line.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum UsageError {
    #[error("no URL")]
    NoUrl,
    #[error("the URL is not UTF-8")]
    NotText,
    #[error("--socket needs a path")]
    NoSocket,
    #[error("--learn needs a process and its start time")]
    NoTransaction,
    #[error("unknown option {0}")]
    UnknownOption(String),
    #[error("too many arguments")]
    TooMany,
}

impl Options {
    /// Reads the arguments behind the program's name.
    pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Asked, UsageError> {
        let mut arguments = arguments;
        let mut socket = None;
        let mut transaction = None;
        let mut operands = Vec::new();
        let mut options_end = false;
        while let Some(argument) = arguments.next() {
            let text = argument.to_str().unwrap_or_default();
            match text {
                _ if options_end || !text.starts_with("--") => operands.push(argument),
                "--" => options_end = true,
                "--help" => return Ok(Asked::Text(HELP.to_owned())),
                "--version" => return Ok(Asked::Text(concat!("pacman2pacman-get ", env!("CARGO_PKG_VERSION")).into())),
                "--socket" => socket = Some(arguments.next().ok_or(UsageError::NoSocket)?.into()),
                learn::OPTION => transaction = Some(read_transaction(&mut arguments)?),
                _ => match text.strip_prefix("--socket=") {
                    Some(path) => socket = Some(path.into()),
                    None => return Err(UsageError::UnknownOption(text.to_owned())),
                },
            }
        }
        if let Some(transaction) = transaction {
            return Ok(Asked::Learn(Learner { transaction, socket: socket_path(socket) }));
        }
        let mut operands = operands.into_iter();
        let url = operands.next().ok_or(UsageError::NoUrl)?;
        let url = url.into_string().map_err(|_| UsageError::NotText)?;
        let out = operands.next().map(PathBuf::from);
        match operands.next() {
            None => Ok(Asked::Fetch(Self { socket, url, out })),
            Some(_) => Err(UsageError::TooMany),
        }
    }
}

fn read_transaction(arguments: &mut impl Iterator<Item = OsString>) -> Result<TransactionId, UsageError> {
    let mut number = || arguments.next()?.to_str()?.parse::<u64>().ok();
    let transaction = number().and_then(|pid| Some(TransactionId { pid: pid.try_into().ok()?, started: number()? }));
    transaction.ok_or(UsageError::NoTransaction)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Asked, UsageError> {
        Options::parse(arguments.iter().map(OsString::from))
    }

    fn asked(socket: Option<&str>, url: &str, out: Option<&str>) -> Asked {
        Asked::Fetch(Options { socket: socket.map(PathBuf::from), url: url.to_owned(), out: out.map(PathBuf::from) })
    }

    #[test]
    fn url_out_and_socket_are_read_in_any_order() {
        assert_eq!(parse(&["u"]), Ok(asked(None, "u", None)));
        assert_eq!(parse(&["u", "o"]), Ok(asked(None, "u", Some("o"))));
        assert_eq!(parse(&["--socket", "s", "u", "o"]), Ok(asked(Some("s"), "u", Some("o"))));
        assert_eq!(parse(&["u", "--socket=s"]), Ok(asked(Some("s"), "u", None)));
        assert_eq!(parse(&["--", "--socket=s", "o"]), Ok(asked(None, "--socket=s", Some("o"))));
    }

    #[test]
    fn a_learner_is_told_of_a_transaction_and_a_socket() {
        let learner = Learner { transaction: TransactionId { pid: 7, started: 8 }, socket: "s".into() };
        assert_eq!(parse(&["--learn", "7", "8", "--socket", "s"]), Ok(Asked::Learn(learner)));
        for wrong in [&["--learn"][..], &["--learn", "7"], &["--learn", "7", "x"], &["--learn", "-7", "8"]] {
            assert_eq!(parse(wrong), Err(UsageError::NoTransaction), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(parse(&[]), Err(UsageError::NoUrl));
        assert_eq!(parse(&["--socket"]), Err(UsageError::NoSocket));
        assert_eq!(parse(&["--quiet", "u"]), Err(UsageError::UnknownOption("--quiet".to_owned())));
        assert_eq!(parse(&["u", "o", "x"]), Err(UsageError::TooMany));
    }

    #[test]
    fn help_states_the_exit_status() {
        let Ok(Asked::Text(help)) = parse(&["--help"]) else { panic!("help is text") };
        assert!(help.starts_with(USAGE) && help.contains("Exit status"));
    }
}
