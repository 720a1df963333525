use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof, proptest};

use super::*;
use crate::Block;
use crate::limits::MAX_MESSAGE_BYTES;

fn block() -> impl Strategy<Value = Block> {
    any::<(u32, u32, u32)>().prop_map(|(piece, offset, length)| Block { piece, offset, length })
}

fn bytes() -> impl Strategy<Value = Bytes> {
    any::<Vec<u8>>().prop_map(Bytes::from)
}

fn message() -> BoxedStrategy<Message> {
    prop_oneof![
        Just(Message::KeepAlive),
        Just(Message::Choke),
        Just(Message::Unchoke),
        Just(Message::Interested),
        Just(Message::NotInterested),
        any::<u32>().prop_map(Message::Have),
        bytes().prop_map(Message::Bitfield),
        block().prop_map(Message::Request),
        (any::<(u32, u32)>(), bytes()).prop_map(|((piece, offset), data)| Message::Piece { piece, offset, data }),
        block().prop_map(Message::Cancel),
        any::<u16>().prop_map(Message::Port),
        any::<u32>().prop_map(Message::Suggest),
        Just(Message::HaveAll),
        Just(Message::HaveNone),
        block().prop_map(Message::Reject),
        any::<u32>().prop_map(Message::AllowedFast),
        (any::<u8>(), bytes()).prop_map(|(id, payload)| Message::Extended { id, payload }),
    ]
    .boxed()
}

fn read_all(bytes: &[u8], chunk: usize) -> Result<Vec<Message>, FramingFault> {
    let mut framer = Framer::new(MAX_MESSAGE_BYTES);
    let mut messages = Vec::new();
    for chunk in bytes.chunks(chunk) {
        framer.push(chunk);
        while let Some(message) = framer.next_message()? {
            messages.push(message);
        }
        assert!(framer.buffer.len() <= MAX_MESSAGE_BYTES + 4);
    }
    Ok(messages)
}

#[test]
fn a_message_that_is_too_long_is_refused_at_its_prefix() {
    let mut framer = Framer::new(100);
    framer.push(&101_u32.to_be_bytes());
    assert_eq!(framer.next_message(), Err(FramingFault::TooLong(101)));
}

#[test]
fn a_length_that_does_not_fit_the_id_is_refused_before_the_rest_arrives() {
    for (id, length) in [(0, 2), (4, 4), (6, 14), (7, 8), (9, 4), (16, 12), (20, 1)] {
        let mut framer = Framer::new(100);
        framer.push(&u32::to_be_bytes(length));
        framer.push(&[id]);
        let length = length as usize;
        assert_eq!(framer.next_message(), Err(FramingFault::Length { id, length }));
    }
}

#[test]
fn unknown_messages_are_told_by_their_id() {
    assert_eq!(read_all(&[0, 0, 0, 3, 99, 1, 2, 0, 0, 0, 0], 2), Ok(vec![Message::Unknown(99), Message::KeepAlive]));
}

proptest! {
    #[test]
    fn what_is_encoded_is_read_again_however_it_arrives(
        messages in proptest::collection::vec(message(), 0..20),
        chunk in 1_usize..200,
    ) {
        let wire: Vec<u8> = messages.iter().flat_map(Message::encode).collect();
        assert_eq!(read_all(&wire, chunk), Ok(messages));
    }

    #[test]
    fn no_bytes_panic_and_chunks_do_not_matter(bytes in any::<Vec<u8>>(), chunk in 1_usize..50) {
        assert_eq!(read_all(&bytes, chunk).ok(), read_all(&bytes, usize::MAX).ok());
    }
}
