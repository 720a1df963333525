//! What somebody wants fetched.

use p2p_package::PackageId;
use p2p_pacman::Request;

/// A file, and how it is wanted.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) request: Request,
    /// A mirror is asked even where an unchanged copy is at hand: `pacman -Syy`.
    pub(crate) force: bool,
    /// What a newer database than ours says of the package. It is kept, and shared with nobody before ours says the same.
    pub(crate) claim: Option<PackageId>,
}

impl From<Request> for Wanted {
    fn from(request: Request) -> Self {
        Self { request, force: false, claim: None }
    }
}
