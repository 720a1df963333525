//! How much one address may ask.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Package ids a second in the long run: an upgrade of a whole machine in two or three seconds.
const IDS_A_SECOND: u32 = 512;

/// Ids that may be asked for at once after a pause: a large upgrade, as 32 full questions.
const BURST: u32 = 4_096;

/// How much more a local address may ask: there are many machines behind it, and bandwidth between us.
const LOCAL_FACTOR: u32 = 10;

/// Addresses that are counted, some 50 bytes each.
const MOST_ADDRESSES: usize = 4_096;

/// Counts what is asked for: an IPv4 address by itself, IPv6 by /64, since whoever has one address has all of them.
#[derive(Debug, Default)]
pub struct Quota {
    /// When all that was asked for so far has been paid off.
    paid_off: BTreeMap<IpAddr, Instant>,
}

impl Quota {
    /// Whether `from` may ask for so many ids now; they are counted if so, and only then.
    ///
    /// `is_local` says that it is on a local network as far as trust goes.
    pub fn take(&mut self, from: IpAddr, is_local: bool, ids: usize, now: Instant) -> bool {
        let rate = if is_local { IDS_A_SECOND * LOCAL_FACTOR } else { IDS_A_SECOND };
        let cost = Duration::from_secs(1) * u32::try_from(ids).unwrap_or(u32::MAX) / rate;
        let asker = asker(from);
        let due = self.paid_off.get(&asker).map_or(now, |due| now.max(*due));
        // A larger rate has a larger burst: the time to pay it off is the same.
        if (due + cost).saturating_duration_since(now) > Duration::from_secs(1) * BURST / IDS_A_SECOND {
            return false;
        }
        self.paid_off.insert(asker, due + cost);
        self.forget_stalest();
        true
    }

    /// The least indebted one loses the least by it.
    fn forget_stalest(&mut self) {
        if self.paid_off.len() > MOST_ADDRESSES {
            let stalest = self.paid_off.iter().min_by_key(|(_, due)| **due).map(|(asker, _)| *asker);
            stalest.and_then(|asker| self.paid_off.remove(&asker));
        }
    }
}

/// Who counts as one: whoever has an address of a /64 has all of them.
pub(crate) fn asker(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRANGER: &str = "203.0.113.7";

    fn ip(address: &str) -> IpAddr {
        address.parse().expect("an address")
    }

    /// How many questions of 128 ids pass at this moment.
    fn questions(quota: &mut Quota, from: &str, is_local: bool, now: Instant) -> usize {
        (0..10_000).take_while(|_| quota.take(ip(from), is_local, 128, now)).count()
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_is_kept() {
        let (mut quota, start) = (Quota::default(), Instant::now());
        assert_eq!(questions(&mut quota, STRANGER, false, start), 32);
        for second in 1..20 {
            assert_eq!(questions(&mut quota, STRANGER, false, start + Duration::from_secs(second)), 4);
        }
        assert_eq!(questions(&mut quota, STRANGER, false, start + Duration::from_hours(1)), 32);
    }

    #[test]
    fn what_is_refused_is_not_counted_and_a_smaller_question_still_passes() {
        let (mut quota, now) = (Quota::default(), Instant::now());
        assert!(quota.take(ip(STRANGER), false, 4_000, now));
        assert!(!quota.take(ip(STRANGER), false, 97, now));
        assert!(quota.take(ip(STRANGER), false, 96, now));
        assert!(!quota.take(ip(STRANGER), false, 1, now));
        assert!(!quota.take(ip("203.0.113.8"), false, usize::MAX, now));
    }

    #[test]
    fn a_local_address_may_ask_ten_times_as_much() {
        let (mut quota, now) = (Quota::default(), Instant::now());
        assert_eq!(questions(&mut quota, "192.168.1.2", true, now), 320);
        assert_eq!(questions(&mut quota, "192.168.1.2", true, now + Duration::from_secs(1)), 40);
        assert_eq!(questions(&mut quota, "::1", true, now), 320);
    }

    #[test]
    fn ipv4_counts_by_address_and_ipv6_by_its_first_half() {
        let (mut quota, now) = (Quota::default(), Instant::now());
        assert_eq!(questions(&mut quota, STRANGER, false, now), 32);
        assert_eq!(questions(&mut quota, "::ffff:203.0.113.7", false, now), 0);
        assert_eq!(questions(&mut quota, "203.0.113.8", false, now), 32);
        assert_eq!(questions(&mut quota, "2001:db8::1", false, now), 32);
        assert_eq!(questions(&mut quota, "2001:db8::2", false, now), 0);
        assert_eq!(questions(&mut quota, "2001:db8:0:1::1", false, now), 32);
    }

    #[test]
    fn the_table_stays_small_and_who_asks_the_most_stays_in_it() {
        let (mut quota, now) = (Quota::default(), Instant::now());
        assert_eq!(questions(&mut quota, STRANGER, false, now), 32);
        for number in 0..10_000_u32 {
            assert!(quota.take(std::net::Ipv4Addr::from_bits(0x0102_0000 + number).into(), false, 1, now));
        }
        assert_eq!(quota.paid_off.len(), MOST_ADDRESSES);
        assert_eq!(questions(&mut quota, STRANGER, false, now), 0);
    }

    #[test]
    fn a_clock_that_steps_back_does_no_harm() {
        let (mut quota, now) = (Quota::default(), Instant::now());
        assert!(quota.take(ip(STRANGER), false, 4_096, now + Duration::from_mins(1)));
        assert!(!quota.take(ip(STRANGER), false, 1, now));
    }
}
