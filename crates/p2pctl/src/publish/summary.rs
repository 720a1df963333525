//! What has been published, for people and for programs.

use std::fmt;

use bytesize::ByteSize;
use p2p_api::{Publication, PublicationAccepted};
use p2p_wire::Statement;
use serde::Serialize;

use super::Collected;
use crate::report::{count, plain};

/// The result; `--json` prints it as it is.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    #[serde(flatten)]
    publication: Publication,
    database: String,
    index: String,
    index_bytes: u64,
    /// Packages in the index.
    packages: u64,
    /// Packages of the database.
    listed: u64,
    hashed: u64,
    hashed_bytes: u64,
    missing: u64,
    faults: u64,
    /// None: p2pd has not been told.
    accepted: Option<PublicationAccepted>,
}

impl Summary {
    pub(super) fn new(
        publication: &Publication,
        statement: &Statement,
        collected: &Collected,
        accepted: Option<PublicationAccepted>,
    ) -> Self {
        Self {
            publication: publication.clone(),
            database: statement.database.sha256.to_string(),
            index: statement.index.sha256.to_string(),
            index_bytes: statement.index.length,
            packages: collected.entries.len() as u64,
            listed: collected.listed as u64,
            hashed: collected.hashed as u64,
            hashed_bytes: collected.hashed_bytes,
            missing: collected.missing as u64,
            faults: collected.faults as u64,
            accepted,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { publication, packages, listed, index_bytes, .. } = self;
        let index = ByteSize(*index_bytes).display().iec();
        let repository = plain(&publication.repository);
        write!(formatter, "{repository}: {packages} of {} in the index ({index})", count(*listed, "package"))?;
        if self.hashed > 0 {
            write!(formatter, ", {} read", ByteSize(self.hashed_bytes).display().iec())?;
        }
        if self.missing > 0 {
            write!(formatter, ", {} not there", self.missing)?;
        }
        if self.faults > 0 {
            write!(formatter, ", {} not as the database says", self.faults)?;
        }
        write!(formatter, "\nsigned with {}", publication.key)?;
        match &self.accepted {
            None => write!(formatter, "\np2pd has not been told"),
            Some(accepted) => {
                let dht = if accepted.dht { "; it goes into the DHT, too" } else { "" };
                write!(formatter, "\np2pd tells {} that are here now{dht}", count(accepted.neighbours, "neighbour"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        let publication = Publication {
            repository: "core".to_owned(),
            architecture: "x86_64".to_owned(),
            key: "0f".repeat(32),
            seq: 1_700_000_000,
            signature: String::new(),
            value: String::new(),
        };
        let (database, index) = ("aa".repeat(32), "bb".repeat(32));
        let (packages, listed, index_bytes) = (271, 274, 150_000);
        let (hashed, hashed_bytes, missing, faults) = (2, 3 << 20, 2, 1);
        let accepted = Some(PublicationAccepted { neighbours: 12, dht: true });
        Summary {
            publication,
            database,
            index,
            index_bytes,
            packages,
            listed,
            hashed,
            hashed_bytes,
            missing,
            faults,
            accepted,
        }
    }

    #[test]
    fn a_person_reads_what_is_in_the_index_and_who_will_hear_of_it() {
        insta::assert_snapshot!(summary(), @"
        core: 271 of 274 packages in the index (146.5 KiB), 3.0 MiB read, 2 not there, 1 not as the database says
        signed with 0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f
        p2pd tells 12 neighbours that are here now; it goes into the DHT, too
        ");
        let dry = Summary { hashed: 0, missing: 0, faults: 0, accepted: None, ..summary() };
        insta::assert_snapshot!(dry, @"
        core: 271 of 274 packages in the index (146.5 KiB)
        signed with 0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f
        p2pd has not been told
        ");
    }

    #[test]
    fn a_program_reads_all_of_it() {
        let value = serde_json::to_value(summary()).expect("string keys only");
        assert_eq!((&value["repository"], &value["faults"]), (&"core".into(), &1.into()));
        assert_eq!(value["accepted"]["neighbours"], 12);
    }
}
