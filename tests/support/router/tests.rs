use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};

use super::*;
use crate::NameServer;

/// Longer than the first packet's way, shorter than the second one's wait.
const SOON: Duration = Duration::from_millis(500);

/// Listens on a free port.
fn listen(host: &Host) -> TcpListener {
    let address = SocketAddr::new(host.address(), 0);
    host.spawn(move || TcpListener::bind(address)).join().expect("binding does not panic").expect("a port is free")
}

/// Calls, and says from where; or why not.
fn call(host: &Host, listener: &TcpListener) -> Result<SocketAddr, ErrorKind> {
    let address = listener.local_addr().expect("a bound socket has an address");
    let calling = host.spawn(move || TcpStream::connect_timeout(&address, SOON));
    let called = calling.join().expect("calling does not panic").map_err(|error| error.kind())?;
    let (_, from) = listener.accept().expect("somebody has called");
    drop(called);
    Ok(from)
}

/// A town, a house behind NAT, and one host of each; and what the world outside has.
fn map() -> (Router, Site, [Host; 3]) {
    let mut router = Router::new();
    let outside = router.site([198, 51, 100]);
    let (town, house) = (router.site([203, 0, 113]), router.site_behind_nat([192, 168, 7], outside));
    let hosts = [outside, town, house].map(|site| router.host(site));
    (router, house, hosts)
}

#[test]
fn who_is_behind_nat_in_a_namespace_can_call_and_not_be_called() {
    let (mut router, house, [_outside, town, at_home]) = map();
    let (square, parlour) = (listen(&town), listen(&at_home));
    let seen = call(&at_home, &square).expect("the way out is open");
    assert_eq!(seen.ip().to_string(), "198.51.100.254");
    assert_eq!(call(&town, &parlour), Err(ErrorKind::TimedOut));
    let room_mate = router.host(house);
    let seen = call(&room_mate, &parlour).expect("within the house everybody can be called");
    assert_eq!(seen.ip(), room_mate.address());
}

#[test]
fn the_dead_in_a_namespace_are_silent_or_refuse() {
    let (router, _, [outside, town, at_home]) = map();
    let (server, other) = (listen(&outside), listen(&town));
    call(&at_home, &server).expect("they live");
    router.kill(&outside.address().to_string(), Death::Silent);
    router.kill(&town.address().to_string(), Death::Refusing);
    assert_eq!(call(&at_home, &server), Err(ErrorKind::TimedOut));
    assert_eq!(call(&at_home, &other), Err(ErrorKind::ConnectionRefused));
}

#[test]
fn names_in_a_namespace_are_those_of_its_name_server() {
    let (_router, _, [outside, town, at_home]) = map();
    let server = NameServer::start(&outside, &[("town.test", town.address())]);
    at_home.resolve_by(server.address());
    let ask = |name: &str| {
        let mut command = at_home.command("getent");
        command.args(["ahostsv4", name]);
        run(command, Duration::from_secs(20))
    };
    assert!(ask("town.test").succeeded().stdout.starts_with("203.0.113.2 "), "{}", ask("town.test"));
    ask("elsewhere.test").failed();
}
