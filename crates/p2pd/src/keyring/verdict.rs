//! What gpgv's words mean (`doc/DETAILS` of `GnuPG`, "Format of the --status-fd output"): pure.

use std::str::SplitAsciiWhitespace;

use p2p_pacman::Fingerprint;

use super::Signed;

/// What begins each of its lines.
const PREFIX: &str = "[GNUPG:] ";

/// What is wrong with a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Flaw {
    #[error("it is none")]
    None,
    #[error("it is one of several")]
    Several,
    #[error("it is not of these bytes")]
    OtherBytes,
    #[error("its key is not in pacman's keyring")]
    UnknownKey,
    #[error("it, or its key, has expired")]
    Expired,
    #[error("its key was revoked")]
    Revoked,
}

impl Flaw {
    /// Whether nothing that happens to the keyring can make it good: somebody who had verified it would not have sent it.
    pub(crate) fn is_for_good(self) -> bool {
        match self {
            Self::None | Self::Several | Self::OtherBytes => true,
            Self::UnknownKey | Self::Expired | Self::Revoked => false,
        }
    }
}

/// Whether exactly one signature was there, and good.
pub(super) fn judge(status: &str) -> Result<Signed, Flaw> {
    let (mut signatures, mut is_good, mut signed, mut flaw) = (0, false, None, None);
    for line in status.lines() {
        let Some(line) = line.strip_prefix(PREFIX) else { continue };
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("NEWSIG") => signatures += 1,
            Some("GOODSIG") => is_good = true,
            Some("VALIDSIG") => signed = read(words),
            Some("BADSIG") => flaw = Some(Flaw::OtherBytes),
            Some("EXPSIG" | "EXPKEYSIG") => flaw = Some(Flaw::Expired),
            Some("REVKEYSIG") => flaw = Some(Flaw::Revoked),
            Some("ERRSIG" | "NO_PUBKEY") => flaw = Some(Flaw::UnknownKey),
            _ => {}
        }
    }
    match (signed, flaw) {
        (_, Some(flaw)) => Err(flaw),
        _ if signatures > 1 => Err(Flaw::Several),
        (Some(signed), None) if is_good => Ok(signed),
        _ => Err(Flaw::None),
    }
}

/// `<fingerprint> <date> <seconds since 1970> …`, and the primary key's fingerprint last.
fn read(mut words: SplitAsciiWhitespace<'_>) -> Option<Signed> {
    let by: Fingerprint = words.next()?.parse().ok()?;
    let at = words.nth(1)?.parse().ok()?;
    // Expiry, version, reserved, algorithms of key and hash, class.
    let key = words.nth(6)?.parse().ok()?;
    Some(Signed { key, by, at })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::keyring::{Inability, VerifyFault};

    const PRIMARY: &str = "DC35D3696DE7430AB6F90D47E7C2C55199A9EB56";
    const SUBKEY: &str = "0123456789ABCDEF0123456789ABCDEF01234567";

    fn valid() -> String {
        format!("VALIDSIG {SUBKEY} 2026-11-23 1795408492 0 4 0 22 8 00 {PRIMARY}")
    }

    fn said(lines: &[&str]) -> Result<Signed, Flaw> {
        judge(&lines.iter().map(|line| [PREFIX, line, "\n"].concat()).collect::<String>())
    }

    #[test]
    fn a_good_signature_has_a_key_and_a_date() {
        let good = said(&["NEWSIG", "KEY_CONSIDERED 1 0", "SIG_ID a 2026-11-23 1795408492", "GOODSIG 1 A B", &valid()]);
        let (key, by) = (PRIMARY.parse().expect("a fingerprint"), SUBKEY.parse().expect("a fingerprint"));
        assert_eq!(good, Ok(Signed { key, by, at: 1_795_408_492 }));
    }

    #[test]
    fn whatever_else_is_said_is_not_good() {
        let valid = valid();
        for (lines, flaw) in [
            (vec![], Flaw::None),
            (vec!["NODATA 3"], Flaw::None),
            (vec!["NEWSIG", "GOODSIG 1 A"], Flaw::None),
            (vec!["NEWSIG", &valid], Flaw::None),
            (vec!["NEWSIG", "GOODSIG 1 A", "VALIDSIG nonsense"], Flaw::None),
            (vec!["NEWSIG", "BADSIG 1 A"], Flaw::OtherBytes),
            (vec!["NEWSIG", "ERRSIG 1 22 8 00 1795408492 9 1", "NO_PUBKEY 1"], Flaw::UnknownKey),
            (vec!["NEWSIG", "EXPKEYSIG 1 A", &valid], Flaw::Expired),
            (vec!["NEWSIG", "EXPSIG 1 A", &valid], Flaw::Expired),
            (vec!["NEWSIG", "REVKEYSIG 1 A", &valid], Flaw::Revoked),
            (vec!["NEWSIG", "GOODSIG 1 A", &valid, "NEWSIG", "ERRSIG 1"], Flaw::UnknownKey),
            (vec!["NEWSIG", "GOODSIG 1 A", &valid, "NEWSIG", "GOODSIG 1 A", &valid], Flaw::Several),
        ] {
            assert_eq!(said(&lines), Err(flaw), "{lines:?}");
        }
    }

    #[test]
    fn an_old_keyring_is_nobodys_fault_but_ours() {
        for flaw in [Flaw::None, Flaw::Several, Flaw::OtherBytes] {
            assert!(VerifyFault::Bad(flaw).is_the_senders(), "{flaw}");
        }
        for flaw in [Flaw::UnknownKey, Flaw::Expired, Flaw::Revoked] {
            assert!(!VerifyFault::Bad(flaw).is_the_senders(), "{flaw}");
        }
        assert!(!VerifyFault::Unable(Inability::Slow(Duration::ZERO)).is_the_senders());
    }

    #[test]
    fn a_name_that_looks_like_a_verdict_is_none() {
        assert_eq!(said(&["NEWSIG", &format!("BADSIG 1 GOODSIG {}", valid())]), Err(Flaw::OtherBytes));
        assert_eq!(judge(&format!("GOODSIG 1 A\n{}\n", valid())), Err(Flaw::None));
    }
}
