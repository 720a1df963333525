//! The network survives its servers: mirrors, trackers, name servers and the DHT's first nodes vanish, every daemon is started
//! anew, and pacman still installs what any machine that can be reached has.

mod country;

use std::time::Duration;

use country::{Country, Person};
use p2p_tests::Ran;

/// What nobody has must be known not to come within this: pacman sleeps 4 s of it, and the client's own attempt takes 2.5.
const CLEAR_WITHIN: Duration = Duration::from_secs(10);

#[test]
fn with_every_server_dead_pacman_installs_what_any_machine_has() {
    let mut country = Country::in_peace();
    country.install(Person::Ann, &["bread", "stove"]);
    country.install(Person::Bob, &["salt"]);
    country.install(Person::Cid, &["wine", "piano"]);
    // The newest database, and what it lists, are behind NAT, on one machine.
    country.publish("tea");
    country.refresh(Person::Dan);
    country.install(Person::Dan, &["tea"]);
    country.black_out();

    // Whoever was started last has had no time at all.
    country.refreshes(Person::Eve);
    country.installs(Person::Eve, "tea");
    country.refreshes(Person::Ann);
    country.installs(Person::Ann, "tea");
    country.installs(Person::Eve, "wine");
    country.installs(Person::Ann, "salt");
    country.installs(Person::Dan, "bread");
    country.installs(Person::Eve, "stove");
    country.installs(Person::Bob, "wine");
    country.installs(Person::Bob, "piano");
    let ran = country.pacman(Person::Ann, &["-S", "gold"]);
    assert_clear_failure(&ran);
}

/// A failure that says what it was about, in time.
#[track_caller]
fn assert_clear_failure(ran: &Ran) {
    eprintln!("a failure after {:?}\n{}", ran.elapsed, ran.output());
    assert!(ran.failed().output().contains("gold"), "{ran}");
    assert!(ran.elapsed < CLEAR_WITHIN, "{ran}");
}
