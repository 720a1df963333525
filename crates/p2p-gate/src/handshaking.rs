//! Reading a stranger's handshake: 68 bytes, in time, and nothing else.

use std::io;
use std::time::Duration;

use p2p_wire::Handshake;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::transport::Socket;

/// Bytes of another protocol's greeting that are taken in, so that hanging up is no reset: MSE's longest first message.
const LONGEST_GREETING: u64 = 96 + 512;
/// How long a caller who was turned away may take to hang up.
const GOODBYE: Duration = Duration::from_secs(1);

/// What is wrong with a peer before it has said anything useful. Its own fault: no more than a DEBUG line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeFault {
    #[error("the connection failed before the handshake")]
    Io(#[source] io::Error),
    #[error("the handshake did not come in time")]
    Late,
    /// Another protocol, or an encrypted handshake.
    #[error("the peer does not speak plain BitTorrent")]
    Foreign,
    #[error("the peer answered for another info hash")]
    OtherInfoHash,
    #[error("the peer is this daemon")]
    Ourselves,
}

/// Reads a handshake; hangs up at the first byte that cannot belong to one.
pub(crate) async fn read_handshake(
    from: &mut (impl AsyncRead + Unpin),
    limit: Duration,
) -> Result<Handshake, HandshakeFault> {
    let mut bytes = [0; Handshake::BYTES];
    let read = async {
        let mut filled = 0;
        while filled < bytes.len() {
            match from.read(&mut bytes[filled..]).await.map_err(HandshakeFault::Io)? {
                0 => return Err(HandshakeFault::Io(io::ErrorKind::UnexpectedEof.into())),
                more => filled += more,
            }
            if !Handshake::may_start_with(&bytes[..filled]) {
                return Err(HandshakeFault::Foreign);
            }
        }
        Ok(())
    };
    tokio::time::timeout(limit, read).await.map_err(|_| HandshakeFault::Late)??;
    Handshake::decode(&bytes).map_err(|_| HandshakeFault::Foreign)
}

/// Hangs up on a caller who speaks something else, with an end and not with a reset.
///
/// A client that prefers encryption (MSE) begins with 96 bytes and up to 512 more, and calls again in plain text when it is
/// hung up on. Bytes that are unread when a socket is closed make the kernel send a reset, which may overtake the end and
/// looks like a broken network.
pub(crate) async fn turn_away(mut caller: impl AsyncRead + AsyncWrite + Unpin) {
    let goodbye = async {
        caller.shutdown().await?;
        caller.take(LONGEST_GREETING).read_to_end(&mut Vec::new()).await
    };
    // Whoever does not take the hint is hung up on anyway.
    tokio::time::timeout(GOODBYE, goodbye).await.ok();
}

/// Says `ours` to a peer that we called, and hears what it answers.
pub(crate) async fn shake_hands(
    socket: &mut Socket,
    ours: &Handshake,
    limit: Duration,
) -> Result<Handshake, HandshakeFault> {
    // A new connection takes 68 bytes without waiting.
    socket.write_all(&ours.encode()).await.map_err(HandshakeFault::Io)?;
    let theirs = read_handshake(socket, limit).await?;
    if theirs.info_hash != ours.info_hash {
        return Err(HandshakeFault::OtherInfoHash);
    }
    if theirs.peer_id == ours.peer_id {
        return Err(HandshakeFault::Ourselves);
    }
    Ok(theirs)
}

#[cfg(test)]
mod tests {
    use p2p_package::InfoHash;
    use p2p_wire::PeerId;
    use tokio::io::duplex;
    use tokio::time::Instant;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn a_handshake_may_come_in_pieces() {
        let (mut peer, mut near) = duplex(256);
        let theirs = Handshake::ours(InfoHash::of(b"a"), PeerId::ours([1; 12]));
        let reading = tokio::spawn(async move { read_handshake(&mut near, LIMIT).await });
        for piece in theirs.encode().chunks(10) {
            peer.write_all(piece).await.expect("open");
        }
        assert_eq!(reading.await.expect("no panic").expect("a handshake"), theirs);
    }

    #[tokio::test(start_paused = true)]
    async fn an_encrypted_one_is_noticed_at_its_first_byte_and_silence_after_five_seconds() {
        let start = Instant::now();
        let (mut peer, mut near) = duplex(256);
        peer.write_all(&[0xa7]).await.expect("open");
        assert!(matches!(read_handshake(&mut near, LIMIT).await, Err(HandshakeFault::Foreign)));
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert!(matches!(read_handshake(&mut near, LIMIT).await, Err(HandshakeFault::Late)));
        assert_eq!(start.elapsed(), LIMIT);
    }
}
