//! One database that we keep, and what a mirror's word about it is worth: pure.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use p2p_webseed::{Unmodified, Validators};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::fetch::package::seconds_since_1970;

/// A copy that came longer ago is asked for without conditions: validators and clocks can lie, but then not for longer.
const LONGEST_TRUST: Duration = Duration::from_hours(24);
/// How far a mirror's clock may be ahead of ours.
const CLOCK_SKEW: Duration = Duration::from_mins(10);

/// A complete database as a mirror sent it, or a neighbour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Copy {
    /// The number that names its file.
    pub(super) number: u64,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// Where it was asked for, without user name and password.
    url: String,
    /// Who answered: the mirror, or what it redirected to.
    origin: String,
    etag: Option<String>,
    /// Last-Modified in seconds since 1970, where the mirror said one that can be true.
    pub(crate) modified: Option<u64>,
    /// When it was asked for, in seconds since 1970.
    pub(crate) fetched: u64,
    /// The detached signature that came with it, in base64; nobody has verified that the two belong together.
    signature: Option<String>,
    #[serde(default)]
    pub(crate) source: Source,
}

/// Who sent a database.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Source {
    /// A mirror.
    #[default]
    Mirror,
    /// A neighbour, when so many said that it is their newest one, too.
    Neighbours(u64),
    /// A neighbour, too, and what vouches for it is that a publisher has named it.
    Published(u64),
    /// pacman has had it: it was copied from there.
    Pacman,
}

/// What a mirror said of a database with its body.
#[derive(Debug, Clone)]
pub(crate) struct Origin<'a> {
    pub(crate) url: &'a Url,
    pub(crate) origin: String,
    pub(crate) etag: Option<String>,
    pub(crate) modified: Option<SystemTime>,
}

impl Copy {
    pub(crate) fn new(number: u64, size: u64, origin: Origin<'_>, now: SystemTime) -> Self {
        let Origin { url, origin, etag, modified } = origin;
        Self {
            number,
            size,
            url: bare(url),
            origin,
            etag,
            modified: credible(modified, now),
            fetched: seconds_since_1970(now).unwrap_or_default(),
            signature: None,
            source: Source::Mirror,
        }
    }

    /// One that no mirror has sent. `modified` is told to mirrors, and to pacman.
    pub(crate) fn without_mirror(
        number: u64,
        size: u64,
        source: Source,
        modified: Option<u64>,
        now: SystemTime,
    ) -> Self {
        let fetched = seconds_since_1970(now).unwrap_or_default();
        let (url, origin) = (String::new(), String::new());
        Self { number, size, url, origin, etag: None, modified, fetched, signature: None, source }
    }

    /// With this detached signature.
    pub(crate) fn signed(self, signature: &[u8]) -> Self {
        Self { signature: (!signature.is_empty()).then(|| STANDARD.encode(signature)), ..self }
    }

    /// The detached signature that came with it.
    pub(crate) fn signature(&self) -> Option<Vec<u8>> {
        STANDARD.decode(self.signature.as_ref()?).ok()
    }

    /// Whether mirrors may be asked for a newer one only. Not for ever, and not where the mirror that sent it is no longer
    /// among the repository's: another architecture's database has the same name. What a neighbour sent is signed, and dated by
    /// that: a mirror that has come back with an older one is behind. Not so what a publisher named: it is dated by when that was
    /// said, which is later than any mirror's date of the same file, and of newer ones, too.
    pub(crate) fn is_trusted(&self, mirrors: &[Url], now: SystemTime) -> bool {
        let fetched = SystemTime::UNIX_EPOCH + Duration::from_secs(self.fetched.min(u64::from(u32::MAX) * 16));
        let age = now.duration_since(fetched);
        let is_known = match self.source {
            Source::Mirror => mirrors.iter().any(|mirror| bare(mirror) == self.url),
            Source::Neighbours(_) => true,
            Source::Published(_) | Source::Pacman => false,
        };
        is_known && age.is_ok_and(|age| age < LONGEST_TRUST)
    }

    /// What to tell a mirror. An entity tag means nothing to another one than its own.
    pub(crate) fn validators(&self, mirror: &Url) -> Validators {
        let etag = self.etag.clone().filter(|_| bare(mirror) == self.url);
        Validators { etag, modified: self.last_modified() }
    }

    /// Whether a mirror's *not modified* is to be believed: its own copy must be this one, as far as it says. Of another
    /// mirror than the one that sent it, it must be said: it may be stale, or its clock may be.
    pub(crate) fn is_confirmed(&self, mirror: &Url, answer: &Unmodified) -> bool {
        let same_mirror = bare(mirror) == self.url && answer.origin == self.origin;
        let modified = answer.modified.and_then(seconds_since_1970);
        let agrees = if modified.is_some() { modified == self.modified } else { same_mirror };
        agrees && answer.length.is_none_or(|length| length == self.size)
    }

    /// Whether another mirror than the one that sent it has an older one.
    pub(crate) fn is_newer(&self, mirror: &Url, modified: Option<SystemTime>) -> bool {
        let theirs = modified.and_then(seconds_since_1970);
        bare(mirror) != self.url && theirs.is_some_and(|theirs| self.modified.is_some_and(|ours| theirs < ours))
    }

    fn last_modified(&self) -> Option<SystemTime> {
        self.modified.and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)))
    }
}

/// A date in seconds since 1970, unless it lies in the future.
pub(crate) fn credible(modified: Option<SystemTime>, now: SystemTime) -> Option<u64> {
    modified.filter(|modified| *modified <= now + CLOCK_SKEW).and_then(seconds_since_1970)
}

fn bare(url: &Url) -> String {
    let mut url = url.clone();
    // An HTTP URL can do without both.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODIFIED: u64 = 1_700_000_000;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn now() -> SystemTime {
        at(MODIFIED + 1000)
    }

    fn url(host: &str) -> Url {
        format!("http://{host}/core/core.db").parse().expect("a URL")
    }

    fn copy_modified(modified: u64) -> Copy {
        let url = url("user:secret@one");
        let etag = Some("\"1\"".to_owned());
        let origin = Origin { url: &url, origin: "http://one".to_owned(), etag, modified: Some(at(modified)) };
        Copy::new(1, 4000, origin, now())
    }

    fn copy() -> Copy {
        copy_modified(MODIFIED)
    }

    fn unmodified(modified: Option<u64>, length: Option<u64>) -> Unmodified {
        Unmodified {
            origin: "http://one".to_owned(),
            modified: modified.map(at),
            length,
            first_byte: Duration::from_millis(1),
        }
    }

    #[test]
    fn no_password_is_written_down() {
        assert!(!serde_json::to_string(&copy()).expect("numbers and texts").contains("secret"));
    }

    #[test]
    fn the_mirror_that_sent_it_is_told_both_validators_and_another_one_the_date() {
        let validators = copy().validators(&url("one"));
        assert_eq!(validators, Validators { etag: Some("\"1\"".to_owned()), modified: Some(at(MODIFIED)) });
        assert_eq!(copy().validators(&url("two")), Validators { etag: None, modified: Some(at(MODIFIED)) });
    }

    #[test]
    fn its_own_mirror_may_say_little_and_another_one_must_have_the_same_date() {
        let (one, two) = (url("one"), url("two"));
        assert!(copy().is_confirmed(&one, &unmodified(None, None)));
        assert!(copy().is_confirmed(&one, &unmodified(Some(MODIFIED), Some(4000))));
        assert!(!copy().is_confirmed(&two, &unmodified(None, None)));
        assert!(copy().is_confirmed(&two, &unmodified(Some(MODIFIED), None)));
        assert!(!copy().is_confirmed(&two, &unmodified(Some(MODIFIED - 5000), None)), "a stale mirror");
        let elsewhere = Unmodified { origin: "http://three".to_owned(), ..unmodified(None, None) };
        assert!(!copy().is_confirmed(&one, &elsewhere), "it redirected to another one than before");
    }

    #[test]
    fn an_entity_tag_that_stays_while_the_file_changes_is_not_believed() {
        assert!(!copy().is_confirmed(&url("one"), &unmodified(Some(MODIFIED + 5), None)));
        assert!(!copy().is_confirmed(&url("one"), &unmodified(Some(MODIFIED), Some(4001))));
    }

    #[test]
    fn a_date_in_the_future_is_no_validator() {
        let copy = copy_modified(MODIFIED + 100_000);
        assert_eq!(copy.modified, None);
        assert_eq!(copy.validators(&url("two")), Validators::default());
        assert_eq!(copy.validators(&url("one")).modified, None);
        assert!(!copy.is_newer(&url("two"), Some(at(MODIFIED))));
    }

    #[test]
    fn an_older_one_of_another_mirror_is_not_taken_and_one_of_its_own_is() {
        assert!(copy().is_newer(&url("two"), Some(at(MODIFIED - 1))));
        assert!(!copy().is_newer(&url("two"), Some(at(MODIFIED))));
        assert!(!copy().is_newer(&url("two"), None));
        assert!(!copy().is_newer(&url("one"), Some(at(MODIFIED - 1))), "the mirror went back: so do we");
    }

    #[test]
    fn it_is_trusted_for_a_day_and_while_its_mirror_is_configured() {
        let mirrors = [url("two"), url("one")];
        let trusted = |now| copy().is_trusted(&mirrors, now);
        assert!(trusted(now() + LONGEST_TRUST / 2));
        assert!(!trusted(now() + LONGEST_TRUST));
        assert!(!trusted(now() - Duration::from_secs(10)), "our own clock went back");
        assert!(!copy().is_trusted(&mirrors[..1], now()));
        let wrong = Copy { fetched: u64::MAX, modified: Some(u64::MAX), ..copy() };
        assert!(!wrong.is_trusted(&mirrors, now()));
        assert_eq!(wrong.validators(&url("one")).modified, None);
    }

    #[test]
    fn what_a_neighbour_sent_is_not_replaced_by_a_mirrors_older_one_and_what_pacman_had_is() {
        let mirrors = [url("one")];
        let copy = |source| Copy::without_mirror(1, 4000, source, Some(MODIFIED), now());
        let lent = copy(Source::Neighbours(3));
        assert!(lent.is_trusted(&mirrors, now()) && !lent.is_trusted(&mirrors, now() + LONGEST_TRUST));
        assert!(
            lent.is_newer(&mirrors[0], Some(at(MODIFIED - 1))) && !lent.is_newer(&mirrors[0], Some(at(MODIFIED + 1)))
        );
        assert!(!copy(Source::Pacman).is_trusted(&mirrors, now()));
        assert!(
            !copy(Source::Published(3)).is_trusted(&mirrors, now()),
            "it is dated later than the mirrors' newer one"
        );
    }
}
