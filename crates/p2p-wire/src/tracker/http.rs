//! HTTP announces (BEP 3): the query string, and the answer with its peers compact (BEP 23, BEP 7) or as a list.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use p2p_package::{BencodeError, Dictionary, Value};

use super::{Announce, AnnounceAnswer, AnnounceEvent, MAX_TRACKER_PEERS};
use crate::compact;

/// What a tracker that names no interval gets: the usual half hour.
const DEFAULT_INTERVAL: Duration = Duration::from_mins(30);
/// Characters of a failure reason that are kept.
const MAX_REASON_CHARACTERS: usize = 200;

/// Why an answer brings nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpAnnounceFault {
    /// Not bencoded.
    #[error("the answer is not bencoded")]
    Bencode(#[source] BencodeError),
    /// Bencoded, but no dictionary.
    #[error("the answer is no dictionary")]
    NoDictionary,
    /// The tracker's own `failure reason`.
    #[error("the tracker refuses: {0}")]
    Refused(String),
}

/// The query string of an announce, without `?`.
#[must_use]
pub fn http_announce_query(announce: &Announce) -> String {
    let mut query = String::with_capacity(300);
    query.push_str("info_hash=");
    escape(announce.info_hash.as_bytes(), &mut query);
    query.push_str("&peer_id=");
    escape(announce.peer_id.as_bytes(), &mut query);
    let Announce { port, uploaded, downloaded, left, key, .. } = announce;
    write!(query, "&port={port}&uploaded={uploaded}&downloaded={downloaded}&left={left}&compact=1")
        .and_then(|()| write!(query, "&numwant={}&key={key:08x}", announce.wanted()))
        .expect("a string takes all that is written to it");
    query.push_str(match announce.event {
        AnnounceEvent::Regular => "",
        AnnounceEvent::Started => "&event=started",
        AnnounceEvent::Completed => "&event=completed",
        AnnounceEvent::Stopped => "&event=stopped",
    });
    query
}

/// Reads the body of an answer. Keys may be in any order, and what follows the dictionary is ignored.
///
/// # Errors
///
/// The tracker's failure reason, or why the body is no answer.
pub fn read_http_announce(body: &[u8]) -> Result<AnnounceAnswer, HttpAnnounceFault> {
    let (value, _) = Value::read_prefix(body).map_err(HttpAnnounceFault::Bencode)?;
    let answer = value.as_dictionary().ok_or(HttpAnnounceFault::NoDictionary)?;
    if let Some(reason) = answer.get("failure reason") {
        let reason = String::from_utf8_lossy(reason.as_bytes().unwrap_or_default());
        return Err(HttpAnnounceFault::Refused(reason.chars().take(MAX_REASON_CHARACTERS).collect()));
    }
    let seconds = |key| answer.get(key).and_then(Value::as_integer).and_then(|seconds| u32::try_from(seconds).ok());
    Ok(AnnounceAnswer {
        interval: seconds("interval").map_or(DEFAULT_INTERVAL, |seconds| Duration::from_secs(seconds.into())),
        min_interval: seconds("min interval").map(|seconds| Duration::from_secs(seconds.into())),
        peers: peers(answer),
        seeders: seconds("complete").unwrap_or(0),
        leechers: seconds("incomplete").unwrap_or(0),
    })
}

fn peers(answer: &Dictionary<'_>) -> Vec<SocketAddr> {
    let peers = answer.get("peers");
    let compact = peers.and_then(Value::as_bytes).unwrap_or_default();
    let listed = peers.and_then(Value::as_list).unwrap_or_default();
    let compact6 = answer.get("peers6").and_then(Value::as_bytes).unwrap_or_default();
    compact::read_v4(compact)
        .chain(listed.iter().filter_map(listed_peer))
        .chain(compact::read_v6(compact6))
        .take(MAX_TRACKER_PEERS)
        .collect()
}

/// A peer of the dictionary model. A host name is left out: nobody looks names up on a tracker's word.
fn listed_peer(peer: &Value<'_>) -> Option<SocketAddr> {
    let peer = peer.as_dictionary()?;
    let address: IpAddr = peer.get("ip")?.as_text()?.parse().ok()?;
    let port = u16::try_from(peer.get("port")?.as_integer()?).ok().filter(|port| *port != 0)?;
    Some(SocketAddr::new(address.to_canonical(), port))
}

fn escape(bytes: &[u8], query: &mut String) {
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            query.push(char::from(*byte));
        } else {
            write!(query, "%{byte:02X}").expect("a string takes all that is written to it");
        }
    }
}

#[cfg(test)]
mod tests {
    use p2p_package::InfoHash;
    use proptest::prelude::{any, proptest};

    use super::*;
    use crate::PeerId;

    fn peers_of(body: &[u8]) -> Vec<String> {
        read_http_announce(body).expect("an answer").peers.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_query_escapes_bytes_and_names_the_event() {
        let announce = Announce {
            info_hash: InfoHash::from_bytes(*b"\x00\xff abcdefghijklmnopq"),
            peer_id: PeerId::ours(*b"0123456789&~"),
            port: 6881,
            uploaded: 1,
            downloaded: 2,
            left: 3,
            event: AnnounceEvent::Completed,
            wanted: 50,
            key: 0xbeef,
        };
        assert_eq!(
            http_announce_query(&announce),
            "info_hash=%00%FF%20abcdefghijklmnopq&peer_id=-P20100-0123456789%26~&port=6881&uploaded=1&downloaded=2\
             &left=3&compact=1&numwant=50&key=0000beef&event=completed"
        );
        assert!(!http_announce_query(&Announce { event: AnnounceEvent::Regular, ..announce }).contains("event"));
    }

    #[test]
    fn compact_peers_of_both_families_are_read() {
        let body = b"d8:completei2e10:incompletei5e8:intervali900e12:min intervali60e5:peers6:\x0a\x00\x00\x01\x00\x50\
            6:peers618:\x20\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\x00\x51e";
        assert_eq!(peers_of(body), ["10.0.0.1:80", "[2001::2]:81"]);
        let answer = read_http_announce(body).expect("an answer");
        assert_eq!((answer.interval, answer.min_interval), (Duration::from_mins(15), Some(Duration::from_mins(1))));
        assert_eq!((answer.seeders, answer.leechers), (2, 5));
    }

    #[test]
    fn listed_peers_are_read_and_host_names_left_out() {
        let body =
            b"d5:peersld2:ip8:10.0.0.14:porti80eed2:ip9:localhost4:porti80eed2:ip3:::14:porti0eed2:ip3:::14:porti9eeee";
        assert_eq!(peers_of(body), ["10.0.0.1:80", "[::1]:9"]);
        assert_eq!(read_http_announce(body).expect("an answer").interval, DEFAULT_INTERVAL);
    }

    #[test]
    fn refusals_and_other_bodies_are_told_apart() {
        let refused = read_http_announce(b"d14:failure reason6:not me8:intervali1ee");
        assert_eq!(refused, Err(HttpAnnounceFault::Refused("not me".to_owned())));
        assert_eq!(read_http_announce(b"i1e"), Err(HttpAnnounceFault::NoDictionary));
        assert!(matches!(read_http_announce(b"<html>"), Err(HttpAnnounceFault::Bencode(_))));
    }

    #[test]
    fn an_answer_brings_no_more_peers_than_the_limit() {
        let body = [b"d5:peers6000:".as_slice(), &[10, 0, 0, 1, 0, 80].repeat(1000), b"e"].concat();
        assert_eq!(peers_of(&body).len(), MAX_TRACKER_PEERS);
    }

    proptest! {
        #[test]
        fn no_body_makes_the_reader_panic(body in any::<Vec<u8>>()) {
            let _ = read_http_announce(&body);
        }
    }
}
