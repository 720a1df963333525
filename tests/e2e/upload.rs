//! Limits, pause and cap: they hold for peers elsewhere, and not for those of the local network.

mod taker;

mod namespaces {
    use std::time::{Duration, Instant};

    use p2p_tests::{DaemonOptions, Fault, Host, Lan, Mirror, Package, Ran};

    use super::taker::Taker;
    use crate::world::{Machine, World};

    const MIB: u64 = 1024 * 1024;
    /// How long anything may take that needs no more than a moment.
    const SOON: Duration = Duration::from_mins(1);
    /// What may still arrive after a pause: socket buffers, blocks that have left the seeder.
    const ON_THE_WAY: u64 = 2 * MIB;

    /// A machine that has a package, a peer elsewhere, and one of its local network.
    struct Street {
        machine: Machine,
        package: Package,
        elsewhere: Host,
        neighbour: Host,
        mirror: Mirror,
        world: World,
        // Dropped last: everything else runs in its namespaces.
        _lan: Lan,
    }

    impl Street {
        fn new(adjust: impl FnOnce(DaemonOptions) -> DaemonOptions) -> Self {
            let mut lan = Lan::new([203, 0, 113]);
            let (host, elsewhere, neighbour) = (lan.host(), lan.host(), lan.host());
            let (world, package) = World::with_package(8 * MIB);
            let mirror = Mirror::serve_on(&host, world.directory.path());
            // A private address is the local network's.
            for arguments in [
                &["address", "add", "10.7.0.3/24", "dev", "eth0"][..],
                &["route", "replace", &format!("{}/32", host.address()), "dev", "eth0", "src", "10.7.0.3"],
            ] {
                let mut command = neighbour.command("ip");
                command.args(arguments);
                assert!(p2p_tests::run(command, SOON).status.success());
            }
            let machine = world.machine(&[mirror.server()]);
            let machine = machine.daemon(|options| adjust(DaemonOptions { host, ..options })).start();
            Self { machine, package, elsewhere, neighbour, mirror, world, _lan: lan }
        }

        fn seeding(adjust: impl FnOnce(DaemonOptions) -> DaemonOptions) -> Self {
            let mut street = Self::new(adjust);
            let url = street.mirror.url(&street.world.path(&street.package));
            street.machine.fetch_well(&url, &street.package);
            street.machine.wait_seeding(1);
            street
        }

        fn taker(&self, host: &Host) -> Taker {
            Taker::call(host, self.machine.daemon.listen(), &self.package)
        }

        #[track_caller]
        fn ask(&self, arguments: &[&str]) -> Ran {
            let ran = self.machine.daemon.p2pctl(arguments);
            assert!(ran.status.success(), "{ran}");
            ran
        }

        fn reason(&self) -> String {
            self.machine.daemon.status().json()["upload"]["reason"].as_str().expect("a reason").to_owned()
        }

        /// The neighbour takes a lot, and the peer elsewhere nearly nothing meanwhile.
        #[track_caller]
        fn only_the_neighbour_is_served(&self, elsewhere: &Taker, neighbour: &Taker) {
            let before = elsewhere.taken();
            neighbour.wait_for_more(40 * MIB, SOON);
            let more = elsewhere.taken() - before;
            assert!(more <= ON_THE_WAY, "{more} bytes have gone elsewhere:\n{}", self.machine.daemon.log());
        }

        fn restart(&mut self) {
            self.machine.daemon.process().stop();
            self.machine.daemon.restart();
            self.machine.wait_seeding(1);
        }
    }

    #[test]
    fn a_limit_is_kept_for_peers_elsewhere_and_not_for_the_local_network() {
        let street = Street::seeding(|options| DaemonOptions { upload_limit: "512KiB/s".into(), ..options });
        let (elsewhere, neighbour) = (street.taker(&street.elsewhere), street.taker(&street.neighbour));
        elsewhere.wait_for_more(MIB / 4, SOON);
        let started = Instant::now();
        elsewhere.wait_for_more(2 * MIB, SOON);
        let elapsed = started.elapsed();
        assert!((Duration::from_secs(2)..Duration::from_secs(12)).contains(&elapsed), "2 MiB in {elapsed:?}");
        neighbour.wait_for_more(40 * MIB, Duration::from_secs(20));
        // Whatever the configuration says.
        street.ask(&["limit", "none"]);
        elsewhere.wait_for_more(40 * MIB, Duration::from_secs(20));
        assert_eq!(street.reason(), "limit");
        street.ask(&["limit", "default"]);
        assert_eq!(street.reason(), "default");
    }

    #[test]
    fn a_pause_stops_peers_elsewhere_at_once_and_survives_a_restart() {
        let mut street = Street::seeding(|options| options);
        let (elsewhere, neighbour) = (street.taker(&street.elsewhere), street.taker(&street.neighbour));
        elsewhere.wait_for_more(20 * MIB, SOON);
        let ran = street.ask(&["pause", "2h"]);
        assert!(ran.stdout.contains("paused for 1h 59m") || ran.stdout.contains("paused for 2h"), "{ran}");
        street.only_the_neighbour_is_served(&elsewhere, &neighbour);
        p2p_tests::wait_until("the peer elsewhere to be choked", SOON, || elsewhere.is_choked());
        // What somebody else pauses and resumes does not end it.
        street.ask(&["pause", "--reason", "metered"]);
        street.ask(&["resume", "--reason", "metered"]);
        drop((elsewhere, neighbour));
        street.restart();
        assert_eq!(street.reason(), "paused");
        let (elsewhere, neighbour) = (street.taker(&street.elsewhere), street.taker(&street.neighbour));
        street.only_the_neighbour_is_served(&elsewhere, &neighbour);
        assert_eq!(elsewhere.taken(), 0);
        street.ask(&["resume"]);
        elsewhere.wait_for_more(20 * MIB, SOON);
    }

    #[test]
    fn a_monthly_cap_stops_peers_elsewhere_also_after_a_restart() {
        let mut street = Street::seeding(|options| DaemonOptions { monthly_cap: "10MiB".into(), ..options });
        let (elsewhere, neighbour) = (street.taker(&street.elsewhere), street.taker(&street.neighbour));
        elsewhere.wait_for_more(9 * MIB, SOON);
        p2p_tests::wait_until("the cap to be reached", SOON, || street.reason() == "cap");
        street.only_the_neighbour_is_served(&elsewhere, &neighbour);
        let taken = elsewhere.taken();
        assert!(taken <= 10 * MIB + ON_THE_WAY, "{taken}");
        drop((elsewhere, neighbour));
        street.restart();
        let status = street.machine.daemon.status();
        assert_eq!(street.reason(), "cap", "{}", status.json());
        assert!(status.json()["upload"]["month_bytes"].as_u64().is_some_and(|bytes| bytes >= 10 * MIB));
    }

    #[test]
    fn a_pause_also_holds_for_packages_in_progress_whose_download_goes_on() {
        let street = Street::new(|options| options);
        let path = street.world.path(&street.package);
        street.mirror.fault(&path, Fault::Rate(400_000));
        let (url, out) = (street.mirror.url(&path), street.machine.out(&street.package));
        let client = street.machine.daemon.client();
        let fetching = std::thread::spawn(move || client.fetch(&url, &out, SOON));
        let downloaded = || {
            let status = street.machine.daemon.status();
            status.json()["fetches"][0]["done"].as_u64().unwrap_or(0)
        };
        p2p_tests::wait_until("the download to begin", SOON, || downloaded() > 600_000);
        let (elsewhere, neighbour) = (street.taker(&street.elsewhere), street.taker(&street.neighbour));
        elsewhere.wait_for_more(4 * MIB, SOON);
        neighbour.wait_for_more(4 * MIB, SOON);
        street.ask(&["pause"]);
        let before = elsewhere.taken();
        neighbour.wait_for_more(20 * MIB, SOON);
        let (more, done) = (elsewhere.taken() - before, downloaded());
        assert!(more <= ON_THE_WAY, "{more} bytes have gone elsewhere");
        street.ask(&["resume"]);
        elsewhere.wait_for_more(4 * MIB, SOON);
        assert!(done > 0 && done < street.package.size(), "not in progress any more, {done}");
        street.mirror.heal(&path);
        assert!(fetching.join().expect("no panic").status.success());
    }

    #[test]
    fn a_rule_of_the_schedule_without_upload_leaves_the_local_network_alone() {
        let rule = "[[seed.schedule]]\nfrom = \"00:00\"\nto = \"24:00\"\nupload_limit = \"0\"\n";
        let street = Street::seeding(|options| DaemonOptions { schedule: rule.into(), ..options });
        assert_eq!(street.reason(), "schedule");
        let (elsewhere, neighbour) = (street.taker(&street.elsewhere), street.taker(&street.neighbour));
        street.only_the_neighbour_is_served(&elsewhere, &neighbour);
        assert_eq!(elsewhere.taken(), 0);
    }
}
