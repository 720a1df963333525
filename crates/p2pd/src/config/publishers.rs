//! `[[publishers]]`: whose word counts for which repository's newest database, and for its packages' metainfo.

use p2p_wire::PublisherKey;
use toml::de::DeValue;

use super::reader::{Reader, Section};
use super::value;

/// Several for a repository: while a key is replaced, and where more than one mirror publishes.
const MAX_PUBLISHERS: usize = 32;

/// One publisher of one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Publisher {
    pub(crate) repository: String,
    pub(crate) key: PublisherKey,
}

impl Publisher {
    /// All of them, in the order of the file.
    pub(super) fn read_all<'a>(reader: &mut Reader<'a>, mut section: Section<'a>) -> Vec<Self> {
        let tables = reader.take_tables(&mut section, "publishers", "publishers", MAX_PUBLISHERS);
        tables.into_iter().filter_map(|table| Self::read(reader, table)).collect()
    }

    /// None where something is wrong with it; the reader knows what.
    fn read<'a>(reader: &mut Reader<'a>, mut section: Section<'a>) -> Option<Self> {
        let repository = reader.require(&mut section, "repository", repository);
        let key = reader.require(&mut section, "key", key);
        reader.finish_section(section);
        Some(Self { repository: repository?.into_inner(), key: key?.into_inner() })
    }
}

fn repository(value: &DeValue<'_>) -> Result<String, String> {
    let text = value::text(value)?;
    if text.is_empty() || text.contains('/') { Err(format!("{text:?} is no repository's name")) } else { Ok(text) }
}

fn key(value: &DeValue<'_>) -> Result<PublisherKey, String> {
    let text = value::text(value)?;
    text.parse().map_err(|error| format!("{text:?}: {error}; `p2pctl publisher-key` prints it"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Settings;

    const KEY: &str = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";

    fn read(text: &str) -> Result<Settings, String> {
        Settings::read(text, Path::new("p2pd.toml")).map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_repository_may_have_several_publishers() {
        let other = KEY.replace('0', "1");
        let text = format!(
            "[[publishers]]\nrepository = \"core\"\nkey = \"{KEY}\"\n[[publishers]]\nrepository = \"core\"\nkey = \"{other}\"\n"
        );
        let publishers = read(&text).expect("valid").publishers;
        assert!(publishers.iter().all(|publisher| publisher.repository == "core"));
        assert_eq!(publishers.iter().map(|publisher| publisher.key.to_string()).collect::<Vec<_>>(), [KEY, &other]);
        assert!(read("").expect("valid").publishers.is_empty());
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        let text = "[[publishers]]\nrepository = \"co/re\"\nkey = \"abc\"\n[[publishers]]\nkeys = 1\n";
        assert_eq!(
            read(text).expect_err("five problems"),
            "p2pd.toml:2:14: publishers.repository: \"co/re\" is no repository's name\n\
             p2pd.toml:3:7: publishers.key: \"abc\": a publisher's key has 64 hexadecimal digits; `p2pctl publisher-key` prints it\n\
             p2pd.toml:4:1: publishers.key: is missing\n\
             p2pd.toml:4:1: publishers.repository: is missing\n\
             p2pd.toml:5:1: unknown key \"keys\" in [publishers]"
        );
        let once = format!("[publishers]\nrepository = \"core\"\nkey = \"{KEY}\"\n");
        assert!(read(&once).expect_err("a table").contains("is written [[publishers]]"));
    }
}
