//! Holds the JSON of publishing still.

mod still;

use p2p_api::{Publication, PublicationAccepted, Published};
use still::holds_still;

const KEY: &str = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";

#[test]
fn a_publication_is_written_as_its_golden_files() {
    let publication = Publication {
        repository: "core".to_owned(),
        architecture: "x86_64".to_owned(),
        key: KEY.to_owned(),
        seq: 1_700_000_000,
        signature: "0f".repeat(64),
        value: "6465".to_owned(),
    };
    holds_still(include_str!("../../../tests/golden/api/publication.json"), &publication);
    let accepted = PublicationAccepted { neighbours: 12, dht: true };
    holds_still(include_str!("../../../tests/golden/api/publication_accepted.json"), &accepted);
}

#[test]
fn publications_are_written_as_their_golden_file() {
    let heard = Published {
        repository: "core".to_owned(),
        key: KEY.to_owned(),
        followed: true,
        own: false,
        published: Some(1_700_000_000),
        database: Some("0f".repeat(32)),
        packages: Some(271),
    };
    let silent = Published { followed: true, published: None, database: None, packages: None, ..heard.clone() };
    holds_still(include_str!("../../../tests/golden/api/publications.json"), &vec![heard, silent]);
}
