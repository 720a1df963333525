//! Requests and answers' heads. HTTP/1.0, so that an answer ends with the connection and is never chunked.

use std::fmt::Write as _;

use p2p_api::{API_VERSION, HOST, VERSION_HEADER};

use crate::ClientError;

/// More headers than axum ever sends.
const MAX_HEADERS: usize = 32;

/// The bytes of a whole request.
pub(crate) fn request(method: &str, path: &str, body: Option<&[u8]>) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.0\r\nhost: {HOST}\r\n{VERSION_HEADER}: {API_VERSION}\r\n");
    if let Some(body) = body {
        write!(head, "content-type: application/json\r\ncontent-length: {}\r\n", body.len())
            .expect("a String takes everything");
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body.unwrap_or_default());
    bytes
}

/// The head of a request with a body of `length` bytes that is sent after it.
pub(crate) fn upload_head(path: &str, length: usize) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.0\r\nhost: {HOST}\r\n{VERSION_HEADER}: {API_VERSION}\r\n\
         content-type: application/octet-stream\r\ncontent-length: {length}\r\n\r\n"
    )
    .into_bytes()
}

/// What we need of an answer's head.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// How many bytes it took, the empty line included.
    pub(crate) length: usize,
    pub(crate) status: u16,
    /// The version header as it came.
    pub(crate) version: Option<String>,
}

impl Head {
    /// Reads the head at the start of `bytes`; None while it isn't whole.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Self>, ClientError> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let length = match response.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(ClientError::Broken("its answer is not HTTP")),
        };
        let value = |name: &str| response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        if value("transfer-encoding").is_some() {
            return Err(ClientError::Broken("its answer to HTTP/1.0 is chunked"));
        }
        Ok(Some(Self {
            length,
            status: response.code.expect("a complete head has a status"),
            version: value(VERSION_HEADER).map(|header| String::from_utf8_lossy(header.value).into_owned()),
        }))
    }

    /// Whether the daemon speaks our version of the API.
    pub(crate) fn has_our_version(&self) -> bool {
        self.version.as_ref().is_some_and(|version| version.trim().parse() == Ok(API_VERSION))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_states_host_version_and_length() {
        let expected = "POST /v1/fetches HTTP/1.0\r\nhost: p2pd\r\np2pd-api: 1\r\n\
                        content-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(request("POST", p2p_api::FETCHES, Some(b"{}")), expected.as_bytes());
        assert_eq!(
            request("GET", p2p_api::STATUS, None),
            b"GET /v1/status HTTP/1.0\r\nhost: p2pd\r\np2pd-api: 1\r\n\r\n"
        );
    }

    #[test]
    fn a_head_is_read_when_its_empty_line_has_come() {
        let bytes = b"HTTP/1.0 200 OK\r\nP2PD-API: 1\r\n\r\n{\"a";
        for cut in 0..bytes.len() - 3 {
            assert_eq!(Head::parse(&bytes[..cut]).unwrap(), None, "{cut}");
        }
        let head = Head::parse(bytes).unwrap().unwrap();
        assert_eq!(head, Head { length: bytes.len() - 3, status: 200, version: Some("1".to_owned()) });
        assert!(head.has_our_version());
    }

    #[test]
    fn another_version_or_none_is_not_ours() {
        for bytes in [&b"HTTP/1.0 200 OK\r\np2pd-api: 2\r\n\r\n"[..], b"HTTP/1.0 200 OK\r\n\r\n"] {
            assert!(!Head::parse(bytes).unwrap().unwrap().has_our_version());
        }
    }

    #[test]
    fn what_is_not_http_and_what_is_chunked_is_refused() {
        for bytes in [&b"SSH-2.0-OpenSSH_9\r\n"[..], b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"] {
            assert!(matches!(Head::parse(bytes), Err(ClientError::Broken(_))));
        }
    }
}
