//! Local service discovery datagrams (BEP 14).

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use p2p_package::InfoHash;

/// The IPv4 group and port of BEP 14.
pub const LOCAL_SEARCH_V4: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(239, 192, 152, 143), 6771);
/// The IPv6 group and port of BEP 14, in its site-local form.
pub const LOCAL_SEARCH_V6: SocketAddrV6 =
    SocketAddrV6::new(Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0xefc0, 0x988f), 6771, 0, 0);

/// Bytes of one datagram, sent or read: what passes every link without fragments, and what BEP 14 asks for.
pub const MAX_LOCAL_SEARCH_BYTES: usize = 1400;
/// Hashes that we put into one datagram: as many as fit beside the longest other lines.
pub const MAX_LOCAL_SEARCH_HASHES: usize = 24;

/// Characters of a cookie; a longer one of somebody else counts as none.
const MAX_COOKIE_BYTES: usize = 32;

/// Somebody on the link looks for the peers of these hashes, or is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalSearch {
    /// Where the sender takes BitTorrent connections.
    pub port: u16,
    /// What it looks for.
    pub info_hashes: Vec<InfoHash>,
    /// Tells the sender its own datagrams when they come back.
    pub cookie: Option<String>,
}

/// Why a datagram is no local search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LocalSearchFault {
    /// Larger than [`MAX_LOCAL_SEARCH_BYTES`].
    #[error("a local search of {0} bytes is too large")]
    TooLarge(usize),
    /// Not UTF-8, or another request than `BT-SEARCH`.
    #[error("the datagram is no BT-SEARCH request")]
    NotASearch,
    /// No `Port`, or 0.
    #[error("the local search names no port")]
    NoPort,
    /// No `Infohash` of 40 hexadecimal digits.
    #[error("the local search names no info hash")]
    NoInfoHash,
}

impl LocalSearch {
    /// The datagrams to send to `group`: one for every [`MAX_LOCAL_SEARCH_HASHES`] hashes.
    #[must_use]
    pub fn encode(&self, group: SocketAddr) -> Vec<Vec<u8>> {
        self.info_hashes.chunks(MAX_LOCAL_SEARCH_HASHES).map(|hashes| self.datagram(group, hashes)).collect()
    }

    fn datagram(&self, group: SocketAddr, hashes: &[InfoHash]) -> Vec<u8> {
        let mut text = format!("BT-SEARCH * HTTP/1.1\r\nHost: {group}\r\nPort: {}\r\n", self.port);
        let written = hashes.iter().try_for_each(|hash| write!(text, "Infohash: {hash}\r\n"));
        written.expect("a string takes all that is written to it");
        if let Some(cookie) = self.cookie.as_deref().filter(|cookie| is_cookie(cookie)) {
            text.push_str("cookie: ");
            text.push_str(cookie);
            text.push_str("\r\n");
        }
        text.push_str("\r\n\r\n");
        text.into_bytes()
    }

    /// Reads a datagram. Hashes that are none are left out; header names may be in any case.
    ///
    /// # Errors
    ///
    /// What keeps it from being a search.
    pub fn decode(datagram: &[u8]) -> Result<Self, LocalSearchFault> {
        if datagram.len() > MAX_LOCAL_SEARCH_BYTES {
            return Err(LocalSearchFault::TooLarge(datagram.len()));
        }
        let text = std::str::from_utf8(datagram).map_err(|_| LocalSearchFault::NotASearch)?;
        let mut lines = text.lines();
        if !lines.next().is_some_and(|line| line.starts_with("BT-SEARCH * HTTP/1.")) {
            return Err(LocalSearchFault::NotASearch);
        }
        let mut port = None;
        let mut info_hashes = Vec::new();
        let mut cookie = None;
        for (name, value) in lines.take_while(|line| !line.is_empty()).filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            if name.eq_ignore_ascii_case("port") {
                port = value.parse().ok().filter(|port| *port != 0);
            } else if name.eq_ignore_ascii_case("infohash") {
                info_hashes.extend(value.parse::<InfoHash>());
            } else if name.eq_ignore_ascii_case("cookie") && is_cookie(value) {
                cookie = Some(value.to_owned());
            }
        }
        if info_hashes.is_empty() {
            return Err(LocalSearchFault::NoInfoHash);
        }
        Ok(Self { port: port.ok_or(LocalSearchFault::NoPort)?, info_hashes, cookie })
    }
}

fn is_cookie(text: &str) -> bool {
    (1..=MAX_COOKIE_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    fn search(hashes: u8) -> LocalSearch {
        let info_hashes = (0..hashes).map(|hash| InfoHash::of(&[hash])).collect();
        LocalSearch { port: 65535, info_hashes, cookie: Some("c".repeat(MAX_COOKIE_BYTES)) }
    }

    #[test]
    fn a_search_reads_as_bep_14_writes_it() {
        let hash = InfoHash::from_bytes([0xab; 20]);
        let search = LocalSearch { port: 6881, info_hashes: vec![hash], cookie: Some("me".to_owned()) };
        let text = format!(
            "BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\nPort: 6881\r\nInfohash: {}\r\ncookie: me\r\n\r\n\r\n",
            "ab".repeat(20)
        );
        assert_eq!(search.encode(LOCAL_SEARCH_V4.into()), [text.into_bytes()]);
    }

    #[test]
    fn many_hashes_fill_few_datagrams_within_the_limit() {
        let search = search(50);
        let datagrams = search.encode(LOCAL_SEARCH_V6.into());
        assert_eq!(datagrams.len(), 3);
        let mut read = Vec::new();
        for datagram in &datagrams {
            let part = LocalSearch::decode(datagram).expect("written by ourselves, and not too large");
            assert_eq!((part.port, &part.cookie), (search.port, &search.cookie));
            read.extend(part.info_hashes);
        }
        assert_eq!(read, search.info_hashes);
    }

    #[test]
    fn headers_in_any_case_and_order_are_understood_and_bad_hashes_left_out() {
        let hash = "Ab".repeat(20);
        let text = format!("BT-SEARCH * HTTP/1.1\r\ninfohash: 12\r\nINFOHASH:{hash}\r\nport:  7 \r\nhost: x\r\n\r\n");
        let search = LocalSearch::decode(text.as_bytes()).expect("a search");
        assert_eq!(search.info_hashes, [InfoHash::from_bytes([0xab; 20])]);
        assert_eq!((search.port, search.cookie), (7, None));
    }

    #[test]
    fn what_is_no_search_is_refused_by_its_reason() {
        let hash = "ab".repeat(20);
        let read = |text: String| LocalSearch::decode(text.as_bytes()).expect_err("not a search");
        let start = "BT-SEARCH * HTTP/1.1\r\n";
        assert_eq!(read("M-SEARCH * HTTP/1.1\r\n\r\n".to_owned()), LocalSearchFault::NotASearch);
        assert_eq!(read(format!("{start}Infohash: {hash}\r\n\r\n")), LocalSearchFault::NoPort);
        assert_eq!(read(format!("{start}Port: 0\r\nInfohash: {hash}\r\n\r\n")), LocalSearchFault::NoPort);
        assert_eq!(read(format!("{start}Port: 1\r\n\r\nInfohash: {hash}\r\n")), LocalSearchFault::NoInfoHash);
        assert_eq!(read(format!("{start}{}", "x".repeat(1400))), LocalSearchFault::TooLarge(1422));
    }

    proptest! {
        #[test]
        fn no_datagram_makes_the_reader_panic(datagram in any::<Vec<u8>>(), text in "BT-SEARCH \\* HTTP/1\\.1\r\n.*") {
            let _ = LocalSearch::decode(&datagram);
            let _ = LocalSearch::decode(text.as_bytes());
        }
    }
}
