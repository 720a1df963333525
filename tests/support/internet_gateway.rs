//! A router that forwards ports when it is asked to by `UPnP`, as far as asking goes: it forwards nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::Host;
use crate::listener::{Door, Listener};

/// Where routers are asked for.
const SEARCHES: (Ipv4Addr, u16) = (Ipv4Addr::new(239, 255, 255, 250), 1900);
/// How often it looks whether it should end.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const SERVICE: &str = "urn:schemas-upnp-org:service:WANIPConnection:1";
/// What the actions take, in order.
const ACTIONS: [(&str, &[&str]); 3] = [
    (
        "AddPortMapping",
        &[
            "NewRemoteHost",
            "NewExternalPort",
            "NewProtocol",
            "NewInternalPort",
            "NewInternalClient",
            "NewEnabled",
            "NewPortMappingDescription",
            "NewLeaseDuration",
        ],
    ),
    ("DeletePortMapping", &["NewRemoteHost", "NewExternalPort", "NewProtocol"]),
    ("GetExternalIPAddress", &[]),
];

/// What kind of router it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manners {
    /// It does what it is asked for.
    Obliging,
    /// It keeps mappings for ever, or not at all.
    PermanentOnly,
    /// It has given every port to another machine.
    Taken,
}

/// A port that it would forward.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mapping {
    /// `TCP` or `UDP`.
    pub protocol: String,
    /// Outside, and inside.
    pub port: u16,
    /// To whom.
    pub client: String,
    /// For so many seconds; 0: for ever.
    pub lease: u32,
}

/// The router.
#[derive(Debug)]
pub struct InternetGateway {
    /// Where it is told what to do.
    control: Listener<State>,
    searches: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    manners: Manners,
    external: Ipv4Addr,
    mappings: Mutex<Vec<Mapping>>,
    searches: AtomicUsize,
    door: Arc<Door>,
}

impl InternetGateway {
    /// Starts it on `host`; `external` is its address outside.
    #[must_use]
    #[track_caller]
    pub fn start(host: &Host, external: Ipv4Addr, manners: Manners) -> Self {
        let state = |door| State { manners, external, mappings: Mutex::default(), searches: AtomicUsize::new(0), door };
        let control = Listener::start(host, state, answer);
        let IpAddr::V4(own) = host.address() else { panic!("UPnP is for IPv4") };
        let bind = move || {
            let searches = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, SEARCHES.1)).expect("the port is free");
            searches.join_multicast_v4(&SEARCHES.0, &own).expect("a host may join");
            searches.set_read_timeout(Some(LOOK_EVERY)).expect("a socket takes a timeout");
            searches
        };
        let searches = host.spawn(bind).join().expect("binding does not panic");
        let hearing = Arc::clone(&control.state);
        let searches = host.spawn(move || answer_searches(&searches, &hearing));
        Self { control, searches: Some(searches) }
    }

    /// What it would forward now, sorted.
    #[must_use]
    pub fn mappings(&self) -> Vec<Mapping> {
        let mut mappings = self.control.state.mappings.lock().unwrap_or_else(PoisonError::into_inner).clone();
        mappings.sort();
        mappings
    }

    /// How often a router was looked for.
    #[must_use]
    pub fn searches(&self) -> usize {
        self.control.state.searches.load(Ordering::Relaxed)
    }
}

impl Drop for InternetGateway {
    fn drop(&mut self) {
        self.control.state.door.close();
        drop(self.searches.take().map(JoinHandle::join));
    }
}

fn answer_searches(searches: &UdpSocket, state: &State) {
    let (mut datagram, control) = ([0; 2048], state.door.address());
    while !state.door.is_closed() {
        let Ok((length, from)) = searches.recv_from(&mut datagram) else { continue };
        let text = String::from_utf8_lossy(&datagram[..length]).into_owned();
        if text.starts_with("M-SEARCH") && text.contains("InternetGatewayDevice") {
            state.searches.fetch_add(1, Ordering::Relaxed);
            let answer = format!(
                "HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n\
                 LOCATION: http://{control}/device.xml\r\nUSN: uuid:p2pt\r\n\r\n"
            );
            drop(searches.send_to(answer.as_bytes(), from));
        }
    }
}

fn answer(stream: TcpStream, state: &State) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (status, body) = match first.split_whitespace().nth(1) {
        Some("/device.xml") => ("200 OK", device()),
        Some("/service.xml") => ("200 OK", service()),
        Some("/control") => control_answer(&String::from_utf8_lossy(&body), state),
        _ => ("404 Not Found", String::new()),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n", body.len());
    write!(reader.get_mut(), "{head}Connection: close\r\n\r\n{body}")
}

fn device() -> String {
    let nest = |kind: &str, inside: &str| {
        format!("<device><deviceType>urn:schemas-upnp-org:device:{kind}:1</deviceType>{inside}</device>")
    };
    let service = format!(
        "<serviceList><service><serviceType>{SERVICE}</serviceType><controlURL>/control</controlURL>\
         <SCPDURL>/service.xml</SCPDURL></service></serviceList>"
    );
    let connection = nest("WANConnectionDevice", &service);
    let wan = nest("WANDevice", &format!("<deviceList>{connection}</deviceList>"));
    let gateway = nest("InternetGatewayDevice", &format!("<deviceList>{wan}</deviceList>"));
    format!("<?xml version=\"1.0\"?><root xmlns=\"urn:schemas-upnp-org:device-1-0\">{gateway}</root>")
}

fn service() -> String {
    let argument = |name: &&str| format!("<argument><name>{name}</name><direction>in</direction></argument>");
    let action = |(name, arguments): &(&str, &[&str])| {
        let arguments: String = arguments.iter().map(argument).collect();
        format!("<action><name>{name}</name><argumentList>{arguments}</argumentList></action>")
    };
    let actions: String = ACTIONS.iter().map(action).collect();
    format!(
        "<?xml version=\"1.0\"?><scpd xmlns=\"urn:schemas-upnp-org:service-1-0\">\
         <actionList>{actions}</actionList></scpd>"
    )
}

fn control_answer(body: &str, state: &State) -> (&'static str, String) {
    let mut mappings = state.mappings.lock().unwrap_or_else(PoisonError::into_inner);
    let is_about = |mapping: &Mapping| {
        mapping.protocol == value(body, "NewProtocol") && mapping.port.to_string() == value(body, "NewExternalPort")
    };
    if body.contains("AddPortMapping") {
        let lease = value(body, "NewLeaseDuration").parse().expect("a lease");
        match state.manners {
            Manners::Taken => return fault(718, "ConflictInMappingEntry"),
            Manners::PermanentOnly if lease != 0 => return fault(725, "OnlyPermanentLeasesSupported"),
            Manners::Obliging | Manners::PermanentOnly => {}
        }
        assert_eq!(value(body, "NewExternalPort"), value(body, "NewInternalPort"));
        mappings.retain(|mapping| !is_about(mapping));
        mappings.push(Mapping {
            protocol: value(body, "NewProtocol").to_owned(),
            port: value(body, "NewExternalPort").parse().expect("a port"),
            client: value(body, "NewInternalClient").to_owned(),
            lease,
        });
        return done("AddPortMapping", "");
    }
    if body.contains("DeletePortMapping") {
        mappings.retain(|mapping| !is_about(mapping));
        return done("DeletePortMapping", "");
    }
    let external = format!("<NewExternalIPAddress>{}</NewExternalIPAddress>", state.external);
    done("GetExternalIPAddress", &external)
}

/// What an element of this name holds.
fn value<'a>(body: &'a str, name: &str) -> &'a str {
    let from = body.split_once(&format!("<{name}")).map_or("", |(_, rest)| rest);
    let inside = from.split_once('>').map_or("", |(_, rest)| rest);
    inside.split_once("</").map_or("", |(value, _)| value)
}

fn done(action: &str, inside: &str) -> (&'static str, String) {
    let response = format!("<u:{action}Response xmlns:u=\"{SERVICE}\">{inside}</u:{action}Response>");
    ("200 OK", envelope(&response))
}

fn fault(code: u16, description: &str) -> (&'static str, String) {
    let error = format!(
        "<UPnPError xmlns=\"urn:schemas-upnp-org:control-1-0\"><errorCode>{code}</errorCode>\
         <errorDescription>{description}</errorDescription></UPnPError>"
    );
    let fault = format!(
        "<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>{error}</detail></s:Fault>"
    );
    ("500 Internal Server Error", envelope(&fault))
}

fn envelope(inside: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\">\
         <s:Body>{inside}</s:Body></s:Envelope>"
    )
}
