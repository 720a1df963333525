//! By what names this machine may be called: a web page that had its own name resolve to our address gets nothing.

use std::net::IpAddr;

use axum::http::uri::Authority;

/// The names beside IP addresses, in lower case.
#[derive(Debug)]
pub(super) struct HostNames(Vec<String>);

impl HostNames {
    /// The names of the machine that we run on.
    pub(super) fn of_this_machine() -> Self {
        Self::new(&rustix::system::uname().nodename().to_string_lossy())
    }

    /// The names of the machine whose `uname -n` is `node`: that, `localhost`, and its name in multicast DNS.
    pub(super) fn new(node: &str) -> Self {
        let node = node.to_ascii_lowercase();
        let short = node.split('.').next().unwrap_or_default().to_owned();
        let mut names = vec!["localhost".to_owned(), format!("{short}.local"), short, node];
        names.retain(|name| !name.is_empty() && !name.starts_with('.'));
        Self(names)
    }

    /// Whether the value of a `Host` field names this machine. An address always does: nobody can make one resolve.
    pub(super) fn allow(&self, field: &str) -> bool {
        let Ok(authority) = field.parse::<Authority>() else { return false };
        if authority.as_str().contains('@') {
            return false;
        }
        let host = authority.host();
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        address.parse::<IpAddr>().is_ok() || self.contain(host)
    }

    /// Whether this is one of the names.
    pub(super) fn contain(&self, name: &str) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        self.0.contains(&name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_our_own_names_are_allowed_and_others_are_not() {
        let names = HostNames::new("Box.example.org");
        for host in [
            "127.0.0.1:9717",
            "192.168.1.7",
            "[::1]:9717",
            "[fe80::1]",
            "localhost:9717",
            "LocalHost",
            "box:9717",
            "box.local.",
            "box.example.org:1",
        ] {
            assert!(names.allow(host), "{host}");
        }
        for host in ["", "evil.example", "box.evil.example:9717", "local", "user@box", "127.0.0.1.evil.example", "a b"]
        {
            assert!(!names.allow(host), "{host}");
        }
    }

    #[test]
    fn a_machine_without_a_name_is_localhost() {
        let names = HostNames::new("");
        assert!(names.allow("localhost") && !names.allow(".local") && !names.allow("local"));
    }
}
