//! Five machines in two networks, and the servers that they live on until they are gone.

use std::net::Ipv6Addr;
use std::time::Duration;

use p2p_tests::{
    Binaries, Daemon, DaemonOptions, Death, DhtNetwork, Host, Keyring, Mirror, NameServer, OpenTracker, PackageSpec,
    PacmanRoot, PacmanRootOptions, Payload, Ran, Repository, Router,
};
use p2p_wire::club_id;
use tempfile::TempDir;

use crate::signed::{edition, wait_signed};
use crate::world::next_second;

/// Where the servers are, and as whose address the router speaks for those behind NAT.
const WORLD: [u8; 3] = [198, 51, 100];
/// Machines that can be called from everywhere.
const TOWN: [u8; 3] = [203, 0, 113];
/// Machines behind NAT.
const HOUSE: [u8; 3] = [192, 168, 77];
/// Where every daemon listens, before and after.
const PORT: u16 = 6881;
/// How long the machines may take to meet in peace.
const MEET_WITHIN: Duration = Duration::from_mins(1);

/// Who sits at a machine. Ann and Bob live in the town; Cid, Dan and Eve in the house.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Person {
    Ann,
    Bob,
    Cid,
    Dan,
    Eve,
}

const EVERYBODY: [Person; 5] = [Person::Ann, Person::Bob, Person::Cid, Person::Dan, Person::Eve];

struct Machine {
    daemon: Daemon,
    pacman: PacmanRoot,
    /// Bytes that it had from mirrors while there were any.
    from_mirrors: u64,
}

/// All that lives on even when it cannot be reached.
struct Servers {
    mirrors: [Mirror; 2],
    tracker: OpenTracker,
    dht: DhtNetwork,
    names: NameServer,
}

/// The scene.
pub(super) struct Country {
    machines: Vec<Machine>,
    servers: Servers,
    repository: Repository,
    keyring: Keyring,
    _directory: TempDir,
    // Dropped last: everything else runs in its namespaces.
    router: Router,
}

impl Country {
    /// Everything lives, everybody has the database, and knows all the others.
    #[track_caller]
    pub(super) fn in_peace() -> Self {
        let directory = tempfile::Builder::new().prefix("p2pt-world-").tempdir().expect("a temporary directory");
        let keyring = Keyring::generate();
        let mut repository = Repository::new(directory.path(), "core");
        for (name, bytes) in [
            ("bread", 20_000),
            ("salt", 200_000),
            ("wine", 700_000),
            ("stove", 9_000_000),
            ("piano", 9_000_000),
            ("gold", 3_000),
        ] {
            repository.add(&PackageSpec::new(name).payload(Payload::Random(bytes)));
        }
        repository.repo_add(Some(&keyring));

        let mut router = Router::new();
        let world = router.site(WORLD);
        let (town, house) = (router.site(TOWN), router.site_behind_nat(HOUSE, world));
        let servers = Servers::start(&std::array::from_fn(|_| router.host(world)), directory.path());
        let machines = EVERYBODY.map(|person| {
            let site = if matches!(person, Person::Ann | Person::Bob) { town } else { house };
            servers.machine(&router.host(site), &repository, &keyring)
        });
        let machines = machines.into_iter().collect();
        let mut country = Self { machines, servers, repository, keyring, _directory: directory, router };
        for person in EVERYBODY {
            country.pacman(person, &["-Sy"]).succeeded();
        }
        country.wait_until_all_have_met();
        country
    }

    /// Has packages installed while the mirrors live, and waits until they are there for others.
    #[track_caller]
    pub(super) fn install(&mut self, person: Person, packages: &[&str]) {
        self.pacman(person, &[&["-S"], packages].concat()).succeeded();
        let (machine, packages) = (&mut self.machines[person as usize], packages.len() as u64);
        machine
            .daemon
            .wait_for_status("seeded packages", MEET_WITHIN, |status| status.number("packages_seeded") == packages);
    }

    /// No server answers any more: most are silent, one mirror refuses. Then every daemon is stopped and started again.
    #[track_caller]
    pub(super) fn black_out(&mut self) {
        self.router.kill(&self.servers.mirrors[1].address().ip().to_string(), Death::Refusing);
        self.router.kill("198.51.100.0/24", Death::Silent);
        for Machine { daemon, from_mirrors, .. } in &mut self.machines {
            *from_mirrors = daemon.status().from_mirrors();
            assert!(daemon.process().stop().success(), "{}", daemon.log());
        }
        for Machine { daemon, .. } in &mut self.machines {
            daemon.restart();
        }
    }

    /// One more package in a new database, signed later than the one before.
    #[track_caller]
    pub(super) fn publish(&mut self, name: &str) {
        next_second();
        self.repository.add(&PackageSpec::new(name).payload(Payload::Random(50_000)));
        self.repository.repo_add(Some(&self.keyring));
    }

    /// Gets the new database from a mirror, and waits until it is there for others.
    #[track_caller]
    pub(super) fn refresh(&mut self, person: Person) {
        self.pacman(person, &["-Sy"]).succeeded();
        wait_signed(&mut self.machines[person as usize].daemon);
    }

    /// Gets the new database from whoever has it.
    #[track_caller]
    pub(super) fn refreshes(&self, person: Person) {
        let machine = &self.machines[person as usize];
        let ran = machine.pacman.pacman(&["-Sy"]);
        eprintln!("{person:?} has the database after {:?}", ran.elapsed);
        assert!(ran.status.success(), "{ran}\n{}", machine.daemon.log());
        let is_new = machine.pacman.sync_database(&self.repository) == edition(&self.repository).0;
        assert!(is_new, "{ran}\n{}", machine.daemon.log());
    }

    /// Runs pacman at somebody's machine.
    #[track_caller]
    pub(super) fn pacman(&self, person: Person, arguments: &[&str]) -> Ran {
        self.machines[person as usize].pacman.pacman(arguments)
    }

    /// Installs a package that must come, byte for byte, and not from a server.
    #[track_caller]
    pub(super) fn installs(&self, person: Person, name: &str) {
        let machine = &self.machines[person as usize];
        let ran = machine.pacman.pacman(&["-S", name]);
        eprintln!("{person:?} has {name} after {:?}", ran.elapsed);
        assert!(ran.status.success(), "{ran}\n{}", machine.daemon.log());
        let package = self.repository.packages().iter().find(|package| package.name() == name).expect("it is listed");
        assert!(machine.pacman.has_installed(package), "{ran}");
        assert!(package.is_at(&machine.pacman.cached(package)), "{ran}");
        assert_eq!(machine.daemon.status().from_mirrors(), machine.from_mirrors, "{ran}");
    }

    /// Those of a network find one another by local searches, the house finds the town by the tracker or the DHT, and the town
    /// is called by the house.
    #[track_caller]
    fn wait_until_all_have_met(&mut self) {
        let others = self.machines.len() as u64 - 1;
        for Machine { daemon, .. } in &mut self.machines {
            daemon.wait_for_status("all the others", MEET_WITHIN, |status| status.number("neighbours") == others);
        }
    }
}

impl Servers {
    #[track_caller]
    fn start(hosts: &[Host; 4], served: &std::path::Path) -> Self {
        let club = club_id("core", "x86_64").to_string();
        let [one, two, third, fourth] = hosts;
        let names = [("mirror.test", one.address()), ("tracker.test", third.address())];
        Self {
            mirrors: [Mirror::serve_on(one, served), Mirror::serve_on(two, served)],
            tracker: OpenTracker::start_for(third, &[club]),
            dht: DhtNetwork::start(fourth),
            names: NameServer::start(fourth, &names),
        }
    }

    /// A machine that knows the first mirror and the tracker by their names, and everything else by its address.
    #[track_caller]
    fn machine(&self, host: &Host, repository: &Repository, keyring: &Keyring) -> Machine {
        host.resolve_by(self.names.address());
        let [by_name, by_address] = &self.mirrors;
        let servers = [format!("http://mirror.test:{}/$repo/os/$arch", by_name.address().port()), by_address.server()];
        let mut options = PacmanRootOptions::new(&[repository], &servers.each_ref().map(String::as_str));
        options.host = host.clone();
        options.sig_level = "Required".into();
        let pacman = PacmanRoot::new(&options, Some(keyring));
        let tracker = self.tracker.address().port();
        let daemon = DaemonOptions {
            host: host.clone(),
            listen: Some(Ipv6Addr::UNSPECIFIED.into()),
            port: PORT,
            lan: true,
            dht_bootstrap: self.dht.nodes(),
            trackers: vec![format!("http://tracker.test:{tracker}/announce"), self.tracker.udp_url()],
            repositories: vec![repository.name().to_owned()],
            ..DaemonOptions::new(&pacman.config())
        };
        let daemon = Daemon::start(&Binaries::built(), daemon);
        options.xfer_command = Some(daemon.xfer_command());
        pacman.configure(&options);
        Machine { daemon, pacman, from_mirrors: 0 }
    }
}
