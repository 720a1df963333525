//! Where the daemons that share a repository meet.

use p2p_package::InfoHash;

/// The rendezvous of all daemons that share `repository` for `architecture`: announced, searched and shaken hands on like
/// an info hash, though no torrent belongs to it.
#[must_use]
pub fn club_id(repository: &str, architecture: &str) -> InfoHash {
    InfoHash::of(format!("pacman2pacman:club:1:{repository}:{architecture}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_club_id_is_the_same_on_every_machine() {
        assert_eq!(club_id("core", "x86_64").to_string(), "d1e1d6c292cd59001be69eb6206aa7c5ff2a4271");
    }

    #[test]
    fn each_repository_and_architecture_has_a_club_of_its_own() {
        assert_ne!(club_id("core", "x86_64"), club_id("extra", "x86_64"));
        assert_ne!(club_id("core", "x86_64"), club_id("core", "aarch64"));
    }
}
