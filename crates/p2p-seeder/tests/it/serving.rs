//! What is served, to whom, and until when.

use std::time::Duration;

use crate::support::{Machine, content};
use p2p_seeder::{Claim, End, Vicinity};
use p2p_wire::{Block, CloseReason, Framer, Handshake, MAX_MESSAGE_BYTES, Message, PeerFault, PeerId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const NAME: &str = "a-1-1-any.pkg.tar.zst";
const BYTES: usize = 600_000;
const BOUND: Duration = Duration::from_secs(20);

/// A downloader that does what a test says.
struct Downloader {
    stream: TcpStream,
    framer: Framer,
}

impl Downloader {
    async fn connect(machine: &Machine, row: &p2p_seeder::Row) -> Self {
        let mut downloader = Self::call(machine, row).await;
        while downloader.next().await.expect("greetings") != Message::Unchoke {}
        downloader
    }

    /// Up to the handshakes.
    async fn call(machine: &Machine, row: &p2p_seeder::Row) -> Self {
        let mut stream = TcpStream::connect(machine.address).await.expect("a connection");
        let ours = Handshake::ours(row.info_hash(), PeerId::from_bytes([3; 20]));
        stream.write_all(&ours.encode()).await.expect("sent");
        let mut theirs = [0; Handshake::BYTES];
        stream.read_exact(&mut theirs).await.expect("an answer");
        let theirs = Handshake::decode(&theirs).expect("a handshake");
        assert_eq!(theirs.info_hash, row.info_hash());
        Self { stream, framer: Framer::new(MAX_MESSAGE_BYTES) }
    }

    /// Waits for this message, whatever comes before it.
    async fn hears(&mut self, message: &Message) {
        while self.next().await.expect("a connection") != *message {}
    }

    /// Asks for a block and gets it.
    async fn is_served(&mut self) {
        self.say(&Message::Request(block(0))).await;
        while !matches!(self.next().await.expect("a connection"), Message::Piece { .. }) {}
    }

    async fn say(&mut self, message: &Message) {
        self.stream.write_all(&message.encode()).await.expect("sent");
    }

    /// The next message; none at the end of the stream.
    async fn next(&mut self) -> Option<Message> {
        let next = async {
            let mut buffer = [0; 4096];
            loop {
                if let Some(message) = self.framer.next_message().expect("messages") {
                    return Some(message);
                }
                match self.stream.read(&mut buffer).await {
                    Ok(0) | Err(_) => return None,
                    Ok(read) => self.framer.push(&buffer[..read]),
                }
            }
        };
        tokio::time::timeout(BOUND, next).await.expect("in time")
    }
}

fn block(n: u32) -> Block {
    Block { piece: n / 16, offset: n % 16 * 16_384, length: 16_384 }
}

async fn end(machine: &mut Machine) -> End {
    tokio::time::timeout(BOUND, machine.ends.recv()).await.expect("in time").expect("an end")
}

#[tokio::test]
async fn blocks_are_answered_with_the_right_bytes() {
    let mut machine = Machine::new().await;
    let row = machine.package(NAME, BYTES);
    let mut downloader = Downloader::connect(&machine, &row).await;
    for n in 0..20 {
        downloader.say(&Message::Request(block(n))).await;
    }
    let whole = content(BYTES);
    for n in 0..20 {
        let Some(Message::Piece { piece, offset, data }) = downloader.next().await else { panic!("no piece {n}") };
        assert_eq!((piece, offset), (block(n).piece, block(n).offset));
        let range = block(n).range(&row.info).expect("within the file");
        assert!(data == whole[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()]);
    }
    assert_eq!(machine.seeder.uploaded_bytes(), 20 * 16_384);
    assert_eq!(machine.seeder.connections(), 1);
    drop(downloader);
    assert!(matches!(end(&mut machine).await, End::HungUp | End::Broken(_)));
    assert_eq!(machine.seeder.connections(), 0);
}

#[tokio::test]
async fn a_file_that_is_removed_replaced_or_overwritten_is_not_served_from_that_moment() {
    let attacks: [fn(&std::path::Path); 4] = [
        |path| fs_err::remove_file(path).unwrap(),
        |path| {
            let new = path.with_extension("new");
            fs_err::write(&new, vec![0; BYTES]).unwrap();
            fs_err::rename(new, path).unwrap();
        },
        |path| {
            use std::io::{Seek, SeekFrom, Write};
            let mut file = fs_err::File::options().write(true).open(path).unwrap();
            file.seek(SeekFrom::Start(300_000)).unwrap();
            file.write_all(b"????").unwrap();
        },
        |path| fs_err::File::options().write(true).open(path).unwrap().set_len(100).unwrap(),
    ];
    for (number, attack) in attacks.into_iter().enumerate() {
        let mut machine = Machine::new().await;
        let row = machine.package(NAME, BYTES);
        let mut downloader = Downloader::connect(&machine, &row).await;
        downloader.say(&Message::Request(block(0))).await;
        assert!(matches!(downloader.next().await, Some(Message::Piece { .. })));
        attack(&row.path);
        downloader.say(&Message::Request(block(18))).await;
        assert_eq!(downloader.next().await, None, "{number}");
        assert!(matches!(end(&mut machine).await, End::Withdrawn), "{number}");
        assert_eq!(machine.catalog.totals().packages, 0);
    }
}

#[tokio::test]
async fn a_removed_row_ends_idle_connections_at_once() {
    let mut machine = Machine::new().await;
    let row = machine.package(NAME, BYTES);
    let mut downloader = Downloader::connect(&machine, &row).await;
    machine.catalog.remove(&row.info_hash());
    assert_eq!(downloader.next().await, None);
    assert!(matches!(end(&mut machine).await, End::Withdrawn));
}

#[tokio::test]
async fn a_package_that_moves_to_another_path_is_served_on() {
    let machine = Machine::new().await;
    let row = machine.package(NAME, BYTES);
    let mut downloader = Downloader::connect(&machine, &row).await;
    let elsewhere = machine.directory.path().join("elsewhere.pkg.tar.zst");
    fs_err::copy(&row.path, &elsewhere).unwrap();
    let stamp = p2p_seeder::FileStamp::of_path(&elsewhere).unwrap();
    let moved = p2p_seeder::Row::new(row.id.clone(), row.info.clone(), elsewhere, stamp, "core".into());
    machine.catalog.insert(moved);
    fs_err::remove_file(&row.path).unwrap();
    downloader.say(&Message::Request(block(3))).await;
    assert!(matches!(downloader.next().await, Some(Message::Piece { .. })));
}

#[tokio::test]
async fn whoever_breaks_the_rules_or_needs_nothing_is_cut_off() {
    let mut machine = Machine::new().await;
    let row = machine.package(NAME, BYTES);
    let mut greedy = Downloader::connect(&machine, &row).await;
    greedy.say(&Message::Request(block(1_000))).await;
    assert_eq!(greedy.next().await, None);
    assert!(matches!(end(&mut machine).await, End::Fault(PeerFault::Range(_))));
    let mut seed = Downloader::connect(&machine, &row).await;
    seed.say(&Message::HaveAll).await;
    assert_eq!(seed.next().await, None);
    assert!(matches!(end(&mut machine).await, End::Closed(CloseReason::RemoteIsSeed)));
}

#[tokio::test]
async fn one_who_asks_and_does_not_read_costs_little_and_others_are_served() {
    let mut machine = Machine::new().await;
    let row = machine.package(NAME, 30_000_000);
    let mut stuck = Downloader::connect(&machine, &row).await;
    let flood = async {
        for n in 0.. {
            let request = Message::Request(block(n % 1_800)).encode();
            if stuck.stream.write_all(&request).await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(BOUND, flood).await.expect("cut off");
    assert!(matches!(end(&mut machine).await, End::Fault(PeerFault::Flood | PeerFault::NotReading)));
    let mut honest = Downloader::connect(&machine, &row).await;
    honest.say(&Message::Request(block(0))).await;
    assert!(matches!(honest.next().await, Some(Message::Piece { .. })));
}

#[tokio::test]
async fn a_remote_peer_is_served_when_a_slot_is_free_and_told_at_once() {
    let machine = Machine::with_slots(Vicinity::Remote, 1).await;
    let row = machine.package(NAME, BYTES);
    let mut first = Downloader::call(&machine, &row).await;
    first.say(&Message::Interested).await;
    first.hears(&Message::Unchoke).await;
    first.is_served().await;
    let mut second = Downloader::call(&machine, &row).await;
    second.say(&Message::Interested).await;
    second.say(&Message::Request(block(0))).await;
    second.hears(&Message::Reject(block(0))).await;

    machine.seeder.set_slots(2);
    second.hears(&Message::Unchoke).await;
    second.is_served().await;
    machine.seeder.set_slots(1);
    first.hears(&Message::Choke).await;
    drop(second);
    first.hears(&Message::Unchoke).await;
    machine.seeder.set_paused(true);
    first.hears(&Message::Choke).await;
    machine.seeder.set_paused(false);
    first.hears(&Message::Unchoke).await;
    first.say(&Message::NotInterested).await;
    first.hears(&Message::Choke).await;
}

#[tokio::test]
async fn who_waits_for_a_slot_is_told_of_and_who_needs_none_is_not() {
    let mut machine = Machine::with_slots(Vicinity::Remote, 1).await;
    let row = machine.package(NAME, BYTES);
    let mut first = Downloader::call(&machine, &row).await;
    first.say(&Message::Interested).await;
    first.hears(&Message::Unchoke).await;
    assert!(is_told(&mut machine, Claim::Served).await);
    let mut second = Downloader::call(&machine, &row).await;
    second.say(&Message::Interested).await;
    assert!(is_told(&mut machine, Claim::Waiting).await);
    first.say(&Message::NotInterested).await;
    assert!(is_told(&mut machine, Claim::Nothing).await);
    assert!(is_told(&mut machine, Claim::Served).await, "it is the second one's turn");

    let mut machine = Machine::with_slots(Vicinity::Local, 1).await;
    let row = machine.package(NAME, BYTES);
    Downloader::connect(&machine, &row).await.is_served().await;
    assert!(machine.claims.try_recv().is_err());
}

/// Whether this is told within the bound, after whatever else.
async fn is_told(machine: &mut Machine, expected: Claim) -> bool {
    let told = async {
        while let Some(claim) = machine.claims.recv().await {
            if claim == expected {
                return true;
            }
        }
        false
    };
    tokio::time::timeout(BOUND, told).await.unwrap_or(false)
}

#[tokio::test]
async fn a_local_peer_needs_no_slot_and_knows_no_pause() {
    let machine = Machine::with_slots(Vicinity::Local, 0).await;
    machine.seeder.set_paused(true);
    let row = machine.package(NAME, BYTES);
    Downloader::connect(&machine, &row).await.is_served().await;
}

#[tokio::test]
async fn what_peers_ask_for_and_get_is_counted_for_each_package() {
    let machine = Machine::new().await;
    let row = machine.package(NAME, BYTES);
    assert_eq!((machine.seeder.demand(), machine.seeder.activity(&row.info_hash())), (Vec::new(), None));
    for _ in 0..3 {
        Downloader::connect(&machine, &row).await.is_served().await;
    }
    assert_eq!(machine.seeder.demand(), [(row.info_hash(), 3)]);
    let activity = machine.seeder.activity(&row.info_hash()).expect("it was asked for");
    assert_eq!((activity.handshakes, activity.uploaded_bytes), (3, 3 * 16_384));
    assert!(activity.last_asked.elapsed().expect("in the past") < BOUND);
}
