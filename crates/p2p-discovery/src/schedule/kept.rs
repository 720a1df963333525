//! What is kept of announces from one run to the next, as text: one line each, by the wall clock.

use std::fmt::Write;

use p2p_package::InfoHash;
use url::Url;

/// The first line; another number means another format.
const HEAD: &str = "p2pd announces 1";

/// All that is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) ways: Vec<KeptWay>,
}

/// What is kept of one way of announcing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptWay {
    pub(crate) name: WayName,
    pub(crate) entries: Vec<KeptEntry>,
}

/// Which way it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WayName {
    Dht,
    /// The user's tracker.
    Configured(Url),
    /// A tracker of a `.torrent`.
    Stranger(Url),
}

/// One offer that was announced this way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeptEntry {
    pub(crate) info_hash: InfoHash,
    /// When it is due again: seconds since 1970.
    pub(crate) due: i64,
    pub(crate) others: Option<u32>,
    pub(crate) is_told: bool,
    pub(crate) refusals: u8,
}

/// Why a text is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeptFault {
    #[error("the first line is not {HEAD:?}")]
    Head,
    #[error("line {0} cannot be read")]
    Line(usize),
    #[error("the last line is missing")]
    Cut,
}

impl Kept {
    /// The text of it.
    pub(crate) fn write(&self) -> String {
        let mut text = format!("{HEAD}\n");
        let written = self.ways.iter().try_for_each(|way| {
            match &way.name {
                WayName::Dht => writeln!(text, "dht")?,
                WayName::Configured(url) => writeln!(text, "tracker {url}")?,
                WayName::Stranger(url) => writeln!(text, "stranger {url}")?,
            }
            way.entries.iter().try_for_each(|entry| {
                let KeptEntry { info_hash, due, refusals, .. } = entry;
                let others = entry.others.map_or_else(|| "-".to_owned(), |others| others.to_string());
                writeln!(text, "{info_hash} {due} {others} {} {refusals}", u8::from(entry.is_told))
            })
        });
        written.expect("a string takes all that is written to it");
        text.push_str("end\n");
        text
    }

    /// Reads such a text.
    ///
    /// # Errors
    ///
    /// Which line is wrong: then nothing of it is to be believed.
    pub(crate) fn read(text: &str) -> Result<Self, KeptFault> {
        let mut lines = text.lines();
        if lines.next() != Some(HEAD) {
            return Err(KeptFault::Head);
        }
        let mut kept = Self::default();
        for (number, line) in lines.enumerate() {
            if line == "end" {
                return Ok(kept);
            }
            if let Some(name) = way_name(line) {
                kept.ways.push(KeptWay { name, entries: Vec::new() });
            } else {
                let way = kept.ways.last_mut().ok_or(KeptFault::Line(number + 2))?;
                way.entries.push(entry(line).ok_or(KeptFault::Line(number + 2))?);
            }
        }
        Err(KeptFault::Cut)
    }
}

fn way_name(line: &str) -> Option<WayName> {
    match line.split_once(' ') {
        None if line == "dht" => Some(WayName::Dht),
        Some(("tracker", url)) => Url::parse(url).ok().map(WayName::Configured),
        Some(("stranger", url)) => Url::parse(url).ok().map(WayName::Stranger),
        _ => None,
    }
}

fn entry(line: &str) -> Option<KeptEntry> {
    let mut fields = line.split(' ');
    let mut next = || fields.next();
    let (info_hash, due) = (next()?.parse().ok()?, next()?.parse().ok()?);
    let others = match next()? {
        "-" => None,
        number => Some(number.parse().ok()?),
    };
    let is_told = match next()? {
        "0" => false,
        "1" => true,
        _ => return None,
    };
    let refusals = next()?.parse().ok()?;
    next().is_none().then_some(KeptEntry { info_hash, due, others, is_told, refusals })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    fn kept() -> Kept {
        let entry = |byte: u8, others, is_told| KeptEntry {
            info_hash: InfoHash::from_bytes([byte; 20]),
            due: -5 + i64::from(byte),
            others,
            is_told,
            refusals: byte,
        };
        let url = Url::parse("udp://tracker.example:80/announce").expect("a URL");
        let ways = vec![
            KeptWay { name: WayName::Dht, entries: vec![entry(1, None, false), entry(2, Some(7), true)] },
            KeptWay { name: WayName::Configured(url.clone()), entries: Vec::new() },
            KeptWay { name: WayName::Stranger(url), entries: vec![entry(3, Some(0), true)] },
        ];
        Kept { ways }
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(Kept::read(&kept().write()), Ok(kept()));
        assert_eq!(Kept::read(&Kept::default().write()), Ok(Kept::default()));
    }

    #[test]
    fn a_text_that_is_cut_or_damaged_anywhere_is_refused() {
        let text = kept().write();
        for end in 0..text.len() - 1 {
            assert!(Kept::read(&text[..end]).is_err(), "{end}");
        }
        assert_eq!(Kept::read(&text.replacen('1', "2", 1)), Err(KeptFault::Head));
        assert_eq!(Kept::read(&text.replacen("dht\n", "", 1)), Err(KeptFault::Line(2)));
        assert_eq!(Kept::read(&text.replace(" - ", " x ")), Err(KeptFault::Line(3)));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in any::<String>(), lines in "p2pd announces 1\n(dht\n|[a-f0-9]{40} -?[0-9]* [0-9-] [01] [0-9]*\n)*") {
            let _ = Kept::read(&text);
            let _ = Kept::read(&lines);
        }
    }
}
