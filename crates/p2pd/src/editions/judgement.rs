//! Which database of a neighbour may take the place of ours: pure.
//!
//! The rules are those of the design's section on trust: signed by the key that signed our last one, or named by a publisher whom
//! the user has configured; later than our last one; and with most of the same packages, for the same machines. Never an older one,
//! and none without a signature in place of one that has one.

use std::collections::BTreeSet;

use p2p_pacman::{DetachedSignature, SyncDatabase};
use p2p_wire::{DatabaseClaim, MAX_DATABASE_BYTES};

use super::Edition;
use crate::keyring::Signed;
use crate::publications::Vouched;

/// How far a signer's clock may be ahead of ours, in seconds.
const CLOCK_SKEW: u64 = 10 * 60;
/// A database grows by packages, and by their signatures; not by more than this factor, and these bytes, at once.
const LARGEST_GROWTH: u64 = 4;
const LARGEST_START: u64 = 1024 * 1024;

/// The last database of the repository and what a publisher says, as far as they tell what the next one must be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reference<'a> {
    last: Option<&'a Edition>,
    vouched: Option<Vouched>,
}

/// Who says that a database is the repository's.
#[derive(Debug)]
pub(crate) enum Voucher {
    /// A key of pacman's keyring, over its bytes.
    Signature(Signed),
    /// A publisher whom the user has configured, and who has published it then, in seconds since 1970; and the key of pacman's
    /// keyring that has signed it, too, if one has.
    Publisher(u64, Option<Signed>),
}

/// What is wrong with a neighbour's database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Objection {
    #[error("nobody has signed it")]
    Unsigned,
    #[error("its size is out of all proportion")]
    Size,
    #[error("another key signed the last one")]
    OtherKey,
    #[error("it is not newer than the last one")]
    NotNewer,
    #[error("it was signed in the future")]
    Future,
    #[error("it lists other packages than the last one")]
    OtherPackages,
    #[error("it is for other machines")]
    OtherArchitecture,
}

impl<'a> Reference<'a> {
    /// None where nobody has signed our last one, and no publisher has named another: then there is no telling whom to believe.
    pub(crate) fn new(last: Option<&'a Edition>, vouched: Option<Vouched>) -> Option<Self> {
        let is_signed = last.is_some_and(|last| last.signed.is_some());
        let vouched = vouched.filter(|vouched| last.is_none_or(|last| last.id != vouched.sha256));
        (is_signed || vouched.is_some()).then_some(Self { last, vouched })
    }

    /// Our last one.
    pub(crate) fn last(&self) -> Option<&'a Edition> {
        self.last
    }

    /// When the publisher published the database of this claim, if it is the one that it names.
    pub(crate) fn published(&self, claim: &DatabaseClaim) -> Option<u64> {
        let named = self.vouched.filter(|vouched| (vouched.sha256, vouched.length) == (claim.id, claim.length))?;
        u64::try_from(named.published).ok()
    }

    /// Whether a database is worth the transfer, by what is claimed of it, and from when it claims to be. `now` is in seconds
    /// since 1970.
    pub(crate) fn weigh(&self, claim: &DatabaseClaim, now: u64) -> Result<u64, Objection> {
        if claim.length > self.largest() {
            return Err(Objection::Size);
        }
        let at = match self.published(claim) {
            Some(published) => {
                let signed = DetachedSignature::read(&claim.signature).ok();
                self.keeps_signed(signed.map(|signed| signed.created)).map(|()| published)?
            }
            None => self.claimed(claim)?,
        };
        self.is_next(at, now).map(|()| at)
    }

    /// Whether a database whose bytes are here is the next one after our `last`, the content of [`Self::last`], on a machine of
    /// these `architectures`.
    pub(crate) fn judge(
        &self,
        last: Option<&SyncDatabase>,
        voucher: &Voucher,
        next: &SyncDatabase,
        architectures: &[String],
        now: u64,
    ) -> Result<(), Objection> {
        match voucher {
            Voucher::Publisher(published, signed) => {
                self.is_next(*published, now)?;
                self.keeps_signed(signed.as_ref().map(|signed| signed.at))?;
            }
            Voucher::Signature(signed) if self.is_by_our_key(signed) => self.is_next(signed.at, now)?,
            Voucher::Signature(_) => return Err(Objection::OtherKey),
        }
        let Some(last) = last else { return Ok(()) };
        if !shares_most_names(last, next) {
            return Err(Objection::OtherPackages);
        }
        if !is_for(architectures, last, next) {
            return Err(Objection::OtherArchitecture);
        }
        // A publisher says which one is the newest that he knows of. That may be an older one than ours.
        let [before, after] = [last, next].map(|database| newest_build(database, now));
        let is_behind = matches!(voucher, Voucher::Publisher(..)) && after < before;
        if is_behind { Err(Objection::NotNewer) } else { Ok(()) }
    }

    /// Whether the key that signed our last one has made this signature.
    pub(crate) fn is_by_our_key(&self, signed: &Signed) -> bool {
        self.signed().is_some_and(|ours| ours.key == signed.key)
    }

    /// Whether only a database with a good signature may take the place of our last one: pacman keeps the signature of that one
    /// beside a file that has none, and then believes neither.
    pub(crate) fn needs_signature(&self) -> bool {
        self.signed().is_some()
    }

    /// Whether what a publisher names is signed then, and later than our last one, where that one is signed.
    fn keeps_signed(&self, at: Option<u64>) -> Result<(), Objection> {
        match (self.signed(), at) {
            (Some(_), None) => Err(Objection::Unsigned),
            (Some(ours), Some(at)) if at <= ours.at => Err(Objection::NotNewer),
            (Some(_), Some(_)) | (None, _) => Ok(()),
        }
    }

    /// The date of a signature that has not been verified.
    fn claimed(&self, claim: &DatabaseClaim) -> Result<u64, Objection> {
        let claimed = DetachedSignature::read(&claim.signature).map_err(|_| Objection::Unsigned)?;
        let ours = self.signed().ok_or(Objection::Unsigned)?;
        // Another distribution's repository may have the same name: there is no harm in it, and no need to look at its bytes.
        if claimed.issuer.is_some_and(|issuer| issuer != ours.by.key_id()) {
            return Err(Objection::OtherKey);
        }
        Ok(claimed.created)
    }

    fn largest(&self) -> u64 {
        let grown = |last: &Edition| last.length.saturating_mul(LARGEST_GROWTH).saturating_add(LARGEST_START);
        self.last.map_or(MAX_DATABASE_BYTES, grown).min(MAX_DATABASE_BYTES)
    }

    fn signed(&self) -> Option<&'a Signed> {
        self.last?.signed.as_ref()
    }

    /// A signature is newer than another one; where there is none, the mirror's date has to do.
    fn is_next(&self, at: u64, now: u64) -> Result<(), Objection> {
        let last = self.last.map(|last| last.signed.as_ref().map_or(last.dated, |signed| signed.at));
        match at {
            at if last.is_some_and(|last| at <= last) => Err(Objection::NotNewer),
            at if at > now.saturating_add(CLOCK_SKEW) => Err(Objection::Future),
            _ => Ok(()),
        }
    }
}

/// Whether each of the two has at least half of the other's package names. A part of a repository is none: what is being tested is
/// signed by the same key, and all of its names are in the repository that it is tested for.
fn shares_most_names(last: &SyncDatabase, next: &SyncDatabase) -> bool {
    let [last, next] = [last, next].map(|database| database.packages().map(|package| package.name).collect());
    let (last, next): (BTreeSet<&str>, BTreeSet<&str>) = (last, next);
    last.intersection(&next).count() * 2 >= last.len().max(next.len())
}

/// Whether all of its packages are for machines like this one, or like those of our last one: the other architectures of a
/// repository have the same names, and the same key.
fn is_for(architectures: &[String], last: &SyncDatabase, next: &SyncDatabase) -> bool {
    let ours = architectures.iter().map(String::as_str).chain(["", "any"]);
    let ours: BTreeSet<&str> = ours.chain(last.packages().map(|package| package.architecture)).collect();
    next.packages().all(|package| ours.contains(package.architecture))
}

/// When its newest package was built, in seconds since 1970; 0 where it does not say. What is dated in the future does not count: one
/// such package, by a wrong clock or a stolen key, would keep all that follows away.
fn newest_build(database: &SyncDatabase, now: u64) -> u64 {
    database.packages().map(|package| package.built).filter(|built| *built <= now).max().unwrap_or(0)
}

#[cfg(test)]
mod tests;
