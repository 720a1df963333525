//! The files that are wanted, as the daemon is told of them. Pure.

use p2p_api::{PackageClaim, PrefetchFile};
use p2p_pacman::{Request, RequestError};

/// A `Server` of this machine's disks, or a package in pacman's cache: there is nothing to fetch.
const ON_THIS_MACHINE: &str = "file://";

/// All files, sorted by what can be done for them.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Order {
    pub(crate) files: Vec<PrefetchFile>,
    /// Those that are on this machine.
    pub(crate) cached: u64,
    /// Those that the daemon can't be asked for.
    pub(crate) refused: Vec<(String, RequestError)>,
}

impl Order {
    /// Looks at each URL once.
    pub(crate) fn new(
        urls: impl IntoIterator<Item = String>,
        claim: impl Fn(&Request) -> Option<PackageClaim>,
    ) -> Self {
        let mut order = Self::default();
        for url in urls {
            if url.starts_with(ON_THIS_MACHINE) {
                order.cached += 1;
                continue;
            }
            match Request::from_url(&url) {
                Ok(request) => order.files.push(PrefetchFile { package: claim(&request), url }),
                Err(error) => order.refused.push((url, error)),
            }
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_here_already_and_what_nobody_can_fetch_is_not_ordered() {
        let url = "http://m/core/os/x86_64/a-1:1-1-any.pkg.tar.zst";
        let urls = ["file:///var/cache/pacman/pkg/b-1-1-any.pkg.tar.zst", "ftp://m/c-1-1-any.pkg.tar.zst", url];
        let claim = PackageClaim { sha256: "00".repeat(32), size: 7 };
        let order = Order::new(urls.map(str::to_owned), |_| Some(claim.clone()));
        let refused = vec![(urls[1].to_owned(), RequestError::Scheme)];
        let files = vec![PrefetchFile { url: url.to_owned(), package: Some(claim) }];
        assert_eq!(order, Order { files, cached: 1, refused });
    }
}
